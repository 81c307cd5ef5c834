/* SPDX-License-Identifier: MIT */
/*
 * context1 COUNT: Unixbench's context1: two processes pass a growing number to and fro through a
 * pair of pipes until it has reached COUNT; each checks what it receives.
 */
#include "measure.h"

static unsigned long next(int fd) {
  unsigned long value;
  if (read(fd, &value, sizeof value) != sizeof value)
    fail("read");
  return value;
}

static void pass(int fd, unsigned long value) {
  if (write(fd, &value, sizeof value) != sizeof value)
    fail("write");
}

int main(int argc, char **argv) {
  unsigned long count = argc > 1 ? strtoul(argv[1], NULL, 0) : 100000;
  int there[2], back[2];
  if (pipe(there) || pipe(back))
    fail("pipe");
  pid_t pid = fork();
  if (pid < 0)
    fail("fork");
  if (pid == 0) {
    for (unsigned long i = 0; i < count; i++) {
      if (next(there[0]) != i)
        _exit(1);
      pass(back[1], i);
    }
    _exit(0);
  }
  double start = now_us();
  for (unsigned long i = 0; i < count; i++) {
    pass(there[1], i);
    if (next(back[0]) != i)
      fail("wrong number");
  }
  double elapsed = now_us() - start;
  reap(pid);
  report("context1_100k", "ms", elapsed / 1e3 / (double)count * 1e5);
  report("round_trip", "us", elapsed / (double)count);
  return 0;
}
