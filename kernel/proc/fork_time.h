/* SPDX-License-Identifier: MIT */
/* How long the calls of fork took, for --stats. */
#ifndef UFORK_KERNEL_FORK_TIME_H
#define UFORK_KERNEL_FORK_TIME_H

#include "lib/types.h"

/* One call, by plat_now_here. Any context. */
void fork_time_add(u64 start, u64 end);

struct fork_times {
  u64 count, median, worst; /* ns; the median to within 6 % */
};
struct fork_times fork_times(void);

#endif
