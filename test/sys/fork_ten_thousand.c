/* SPDX-License-Identifier: MIT */
/*
 * 10,000 children are alive at once (2,000 where there is less than 3 GiB of memory). Each answers
 * through a pipe; then half of them end by themselves and half are killed, and all are reaped.
 */
/* test: timeout=120 options=--memory=4G */
#include "check.h"
#include <sys/resource.h>
#include <sys/sysinfo.h>

enum { MANY = 10000, FEWER = 2000 };

static pid_t pids[MANY];
static unsigned char ended[MANY];

static int choose(void) {
  struct sysinfo info;
  struct rlimit limit;
  OK(sysinfo(&info));
  OK(getrlimit(RLIMIT_NPROC, &limit));
  CHECK(limit.rlim_cur > MANY);
  return (unsigned long long)info.totalram * info.mem_unit >= 3ULL << 30 ? MANY : FEWER;
}

static _Noreturn void child(int i, int gate, int answers) {
  char end;
  EXPECT(read(gate, &end, 1), 0); /* until the parent has forked them all */
  EXPECT(write(answers, &i, sizeof i), sizeof i);
  if (i % 2)
    _exit(i % 100);
  for (;;)
    pause();
}

/* Reaps one child, whichever it is, and checks how it ended. */
static void reap_one(int n) {
  int status, i = 0;
  pid_t pid = OK(wait(&status));
  while (i < n && pids[i] != pid)
    i++;
  CHECK(i < n && !ended[i]);
  ended[i] = 1;
  if (i % 2)
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == i % 100);
  else
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

int main(void) {
  int gate[2], back[2], n = choose();
  OK(pipe(gate)), OK(pipe(back));
  for (int i = 0; i < n; i++) {
    if ((pids[i] = OK(fork())) == 0) {
      OK(close(gate[1]));
      child(i, gate[0], back[1]);
    }
  }
  for (int i = 0; i < n; i++)
    EXPECT(kill(pids[i], 0), 0);
  EXPECT(waitpid(-1, NULL, WNOHANG), 0);
  OK(close(gate[1]));
  long sum = 0;
  for (int i = 0; i < n; i++) {
    int got;
    EXPECT(read(back[0], &got, sizeof got), sizeof got);
    CHECK(got >= 0 && got < n);
    sum += got;
  }
  EXPECT(sum, (long)n * (n - 1) / 2);
  for (int i = 0; i < n / 2; i++) /* those that end by themselves; the others sleep */
    reap_one(n);
  EXPECT(waitpid(-1, NULL, WNOHANG), 0);
  for (int i = 0; i < n; i += 2)
    OK(kill(pids[i], SIGKILL));
  for (int i = 0; i < n / 2; i++)
    reap_one(n);
  FAILS(wait(NULL), ECHILD);
  for (int i = 0; i < n; i++)
    FAILS(kill(pids[i], 0), ESRCH);
  IN_CHILD {}
  END_CHILD(0);
  return done();
}
