/* SPDX-License-Identifier: MIT */
/* The histogram of fork times against exact medians. */
#include "kernel/proc/fork_time.h"
#include "kernel/test/fake/check.h"
#include <stdlib.h>

static int by_value(const void *a, const void *b) {
  u64 x = *(const u64 *)a, y = *(const u64 *)b;
  return (x > y) - (x < y);
}

static void medians(void) {
  static u64 times[4001];
  u64 worst = 0;
  CHECK(fork_times().count == 0 && fork_times().median == 0 && fork_times().worst == 0);
  srand(7);
  for (unsigned n = 0; n < 4001; n++) {
    times[n] = (u64)rand() >> (rand() % 31);
    fork_time_add(1000, 1000 + times[n]);
    if (times[n] > worst)
      worst = times[n];
    if (n % 100 != 0)
      continue;
    qsort(times, n + 1, sizeof *times, by_value);
    struct fork_times f = fork_times();
    u64 exact = times[n / 2];
    CHECK(f.count == n + 1 && f.worst == worst);
    CHECK(f.median <= exact + exact / 16 + 1 && f.median + f.median / 15 + 1 >= exact);
  }
  fork_time_add(5, 3); /* the clock of another CPU is a little behind */
  fork_time_add(0, UINT64_MAX);
  CHECK(fork_times().count == 4003 && fork_times().worst == UINT64_MAX);
}

int main(void) {
  TEST(medians);
  return check_summary("fork_time");
}
