/* SPDX-License-Identifier: MIT */
/* fork fails with ENOMEM when the instance's memory is used up; nothing is lost by that: when the
   children have gone, as many fit again. */
/* test: timeout=120 only=ufork options=--memory=64M */
#include "check.h"
#include <sys/mman.h>

enum { MAX = 32000 };

static pid_t *pids; /* shared, so that fork need not copy it */

/* How many sleeping children fit; all are ended again. */
static int fill(void) {
  int n = 0, odd = 0;
  for (pid_t pid; n < MAX && (pid = fork()) != -1; pids[n++] = pid)
    if (pid == 0)
      for (;;)
        pause();
  CHECK(n < MAX);
  CHECK(errno == ENOMEM || errno == EAGAIN);
  for (int again = 0; again < 3; again++)
    CHECK(fork() == -1);
  for (int i = 0; i < n; i++)
    EXPECT(kill(pids[i], 0), 0);
  for (int i = 0; i < n; i++)
    OK(kill(pids[i], SIGKILL));
  for (int i = 0; i < n; i++) {
    int status = wait_for(pids[i]);
    CHECK(WIFSIGNALED(status));
    odd += WTERMSIG(status) != SIGKILL; /* found no frame for its first write */
  }
  CHECK(odd <= 8);
  FAILS(wait(NULL), ECHILD);
  return n;
}

int main(void) {
  pids =
      OK(mmap(NULL, MAX * sizeof *pids, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  memset(pids, 1, MAX * sizeof *pids);
  int n = fill();
  CHECK(n > 500);
  for (int i = 0; i < 3; i++) {
    int again = fill();
    CHECK(again >= n - n / 50);
    IN_CHILD {}
    END_CHILD(0);
  }
  return done();
}
