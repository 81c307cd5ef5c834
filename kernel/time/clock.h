/* SPDX-License-Identifier: MIT */
/* Clocks and time structures of the system-call ABI. Kernel time is u64 nanoseconds of plat_now. */
#ifndef UFORK_KERNEL_CLOCK_H
#define UFORK_KERNEL_CLOCK_H

#include "kernel/thread.h"

#define NSEC_PER_SEC 1000000000UL

enum {
  CLOCK_REALTIME,
  CLOCK_MONOTONIC,
  CLOCK_PROCESS_CPUTIME_ID,
  CLOCK_THREAD_CPUTIME_ID,
  CLOCK_MONOTONIC_RAW,
  CLOCK_REALTIME_COARSE,
  CLOCK_MONOTONIC_COARSE,
  CLOCK_BOOTTIME,
};
#define TIMER_ABSTIME 1

struct ktimespec {
  i64 sec, nsec;
};
struct ktimeval {
  i64 sec, usec;
};

/* Reading of clock `id` for the running thread. 0 or -EINVAL. */
int clock_read(int id, u64 *now);
/* Kernel deadline (plat_now) for time `at` of clock `id`, or `at` from now if relative. Saturates.
 */
u64 clock_deadline(int id, u64 at, bool absolute);

/* A timespec or timeval of user space as nanoseconds: -EFAULT, -EINVAL if it is not normalised or
   negative. Saturates at the far future. */
int timespec_from_user(u64 uaddr, u64 *ns);
int timeval_from_user(u64 uaddr, u64 *ns);
int timespec_to_user(u64 uaddr, u64 ns);
int timeval_to_user(u64 uaddr, u64 ns);
/* uaddr 0: no time-out, *deadline = UINT64_MAX; otherwise a relative timespec as a deadline. */
int timeout_from_user(u64 uaddr, u64 *deadline);

/* Converts between nanoseconds and a timespec in kernel memory. */
static inline struct ktimespec timespec_of(u64 ns) {
  return (struct ktimespec){(i64)(ns / NSEC_PER_SEC), (i64)(ns % NSEC_PER_SEC)};
}
int timespec_ns(const struct ktimespec *ts, u64 *ns); /* 0 or -EINVAL */

#endif
