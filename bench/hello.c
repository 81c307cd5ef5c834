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
  report_forks(reap, rounds / 10, rounds, call, whole);
  return 0;
}
