/* SPDX-License-Identifier: MIT */
/*
 * hello ROUNDS: the smallest process forks a child that ends at once. Reports the medians of the
 * fork call and of fork + exit + wait.
 */
#include "measure.h"

int main(int argc, char **argv) {
  int rounds = argc > 1 ? atoi(argv[1]) : 1000;
  double *call = malloc(sizeof *call * (size_t)rounds);
  double *whole = malloc(sizeof *whole * (size_t)rounds);
  if (!call || !whole)
    fail("malloc");
  for (int i = -rounds / 10; i < rounds; i++) { /* the first tenth warms up */
    double start = now_us();
    pid_t pid = fork();
    if (pid == 0)
      _exit(0);
    double forked = now_us();
    if (pid < 0)
      fail("fork");
    reap(pid);
    if (i >= 0) {
      call[i] = forked - start;
      whole[i] = now_us() - start;
    }
  }
  report("fork_call", "us", median(call, rounds));
  report("fork_exit_wait", "us", median(whole, rounds));
  return 0;
}
