/* SPDX-License-Identifier: MIT */
/*
 * Prints the frequency of the processor's time-stamp counter in kHz. An emulated machine's counter
 * is the host's, and its Linux cannot always find out how fast it is.
 */
#include <stdint.h>
#include <stdio.h>
#include <time.h>

static uint64_t now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC_RAW, &t);
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

int main(void) {
  uint64_t start = now(), ticks = __builtin_ia32_rdtsc(), elapsed;
  do
    elapsed = now() - start;
  while (elapsed < 100000000);
  ticks = __builtin_ia32_rdtsc() - ticks;
  printf("%llu\n", (unsigned long long)((double)ticks * 1e6 / (double)elapsed));
  return 0;
}
