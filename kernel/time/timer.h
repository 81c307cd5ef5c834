/* SPDX-License-Identifier: MIT */
/*
 * Kernel timers: one ordered set per instance (a heap), run from the tick, the idle loop and
 * schedule(). Callbacks run in any context with no timer lock held, must not sleep.
 */
#ifndef UFORK_KERNEL_TIMER_H
#define UFORK_KERNEL_TIMER_H

#include "kernel/plat.h"
#include "lib/list.h"

struct ktimer {
  u64 deadline; /* absolute, plat_now */
  void (*fire)(struct ktimer *t);
  u32 heap_index; /* 0: not armed */
  bool firing;
};

void ktimer_init(struct ktimer *t, void (*fire)(struct ktimer *t));
void ktimer_arm(struct ktimer *t,
                u64 deadline); /* re-arms if armed. May fail only by -ENOMEM at creation: never */
/* Disarms; true if it had not fired. After it returns the callback is not running. Not from the
 * callback. */
bool ktimer_cancel(struct ktimer *t);
/* Runs what is due; returns the next deadline or UINT64_MAX. */
u64 ktimer_run(u64 now);
u64 ktimer_next(void);

#endif
