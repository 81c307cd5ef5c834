/* SPDX-License-Identifier: MIT */
/*
 * Random system calls with random arguments, by unprivileged children: whatever they do, the
 * instance lives, and memory and files of the parent are what they were.
 */
/* test: only=ufork timeout=300 */
#include "check.h"
#include <sys/resource.h>
#include <sys/syscall.h>

static uint64_t state;
static char scratch[4096];

static long argument(void) {
  switch (rnd(&state) % 8) {
  case 0:
    return (long)(rnd(&state) % 16);
  case 1:
    return -(long)(rnd(&state) % 200);
  case 2:
    return (long)rnd(&state);
  case 3:
    return (long)(rnd(&state) & 0xffffffff);
  case 4:
    return 1L << rnd(&state) % 64;
  case 5:
    return (long)scratch + (long)(rnd(&state) % sizeof scratch);
  case 6:
    return (long)&state + (long)(rnd(&state) % 8192) - 4096;
  default:
    return (long)(rnd(&state) % 70000);
  }
}

static void child(uint64_t seed) {
  state = seed * 0x2545f4914f6cdd1du + 1;
  OK(setsid());
  OK(setgid(1000)), OK(setuid(1000));
  OK(setrlimit(RLIMIT_NPROC, &(struct rlimit){100, 100}));
  alarm(1);
  close(0), close(1), close(2);
  for (int i = 0; i < 3000; i++) {
    long number = (long)(rnd(&state) % 340);
    if (number == SYS_exit || number == SYS_exit_group || number == SYS_pause)
      continue;
    syscall(number, argument(), argument(), argument(), argument(), argument(), argument());
  }
  _exit(0);
}

/* A child may have blocked or moved its alarm, and sleep. */
static void reap(pid_t pid) {
  for (long start = now_ms(); now_ms() - start < 1500; sleep_ms(1))
    if (OK(waitpid(pid, NULL, WNOHANG)) == pid)
      return;
  OK(kill(pid, SIGKILL));
  wait_for(pid);
}

int main(void) {
  if (geteuid() != 0)
    check_fail(__FILE__, __LINE__, "process 1 is root", geteuid());
  static unsigned char memory[1 << 20];
  for (size_t i = 0; i < sizeof memory; i++)
    memory[i] = (unsigned char)(i * 13);
  int fd = OK(open("/kept.tmp", O_RDWR | O_CREAT, 0600));
  EXPECT(write(fd, "kept", 4), 4);
  OK(close(fd)); /* children share no descriptor that matters */
  for (uint64_t seed = 1; seed <= 40; seed++) {
    pid_t pid = OK(fork());
    if (pid == 0)
      child(seed);
    reap(pid);
  }
  kill(-1, SIGKILL); /* what they left behind, if anything */
  while (wait(NULL) > 0)
    ;
  for (size_t i = 0; i < sizeof memory; i++)
    EXPECT(memory[i], (unsigned char)(i * 13));
  char buf[4];
  fd = OK(open("/kept.tmp", O_RDONLY));
  EXPECT(read(fd, buf, 4), 4);
  CHECK(!memcmp(buf, "kept", 4));
  IN_CHILD { free(malloc(100000)); }
  END_CHILD(0);
  return done();
}
