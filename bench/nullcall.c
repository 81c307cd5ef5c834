/* SPDX-License-Identifier: MIT */
/* nullcall COUNT: the cheapest system call, getppid, COUNT times. */
#include "measure.h"

int main(int argc, char **argv) {
  long count = argc > 1 ? atol(argv[1]) : 1000000;
  for (long i = 0; i < count / 10; i++)
    getppid();
  double start = now_us();
  for (long i = 0; i < count; i++)
    getppid();
  report("null_call", "ns", (now_us() - start) * 1e3 / (double)count);
  return 0;
}
