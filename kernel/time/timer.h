/* SPDX-License-Identifier: MIT */
/*
 * Kernel timers: one ordered set per instance, run from the tick, the idle loop and schedule().
 * Callbacks run in any context with no timer lock held and must not sleep.
 *
 * The set is a pairing heap (Fredman, Sedgewick, Sleator, Tarjan 1986), intrusive, so that arming
 * a timer never allocates and never fails.
 */
#ifndef UFORK_KERNEL_TIMER_H
#define UFORK_KERNEL_TIMER_H

#include "kernel/plat.h"
#include "lib/list.h"

struct ktimer {
  u64 deadline; /* absolute, plat_now */
  void (*fire)(struct ktimer *t);
  struct ktimer *child, *next, *prev; /* prev: left sibling, or parent of a first child */
  bool armed;                         /* in the heap; under the timers' lock */
  u32 firing;                         /* callbacks under way; atomic */
};

/* Makes t unarmed. The owner keeps the memory until ktimer_cancel has returned. */
void ktimer_init(struct ktimer *t, void (*fire)(struct ktimer *t));
/* Arms or re-arms for an absolute time. Any context, also from the callback. */
void ktimer_arm(struct ktimer *t, u64 deadline);
/* Disarms; true if it had been armed. After it returns the callback is not running (do not call it
   from the callback, nor with a lock held that the callback takes). */
bool ktimer_cancel(struct ktimer *t);
/* As ktimer_cancel, without waiting for a callback that is under way. */
bool ktimer_disarm(struct ktimer *t);
bool ktimer_is_armed(const struct ktimer *t);
/* Has it ever been armed, by who is done with that now? If not, it needs no cancelling. */
static inline bool ktimer_was_used(const struct ktimer *t) { return t->deadline != 0; }
/* Runs what is due at `now`; returns the next deadline or UINT64_MAX. No locks held. */
u64 ktimer_run(u64 now);
/* Next deadline or UINT64_MAX: a snapshot, for the idle loop. */
extern u64 ktimer_first; /* atomic; timer.c */
static inline u64 ktimer_next(void) { return __atomic_load_n(&ktimer_first, __ATOMIC_ACQUIRE); }

#endif
