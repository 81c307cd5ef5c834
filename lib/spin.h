/* SPDX-License-Identifier: MIT */
/*
 * Spinlocks. The kernel is not preemptible by its own scheduler, but a platform may be (a
 * hosted vCPU is a host thread), so a waiter that spins long calls plat_relax().
 * A holder must not sleep, call schedule() or touch user memory that may fault.
 */
#ifndef UFORK_LIB_SPIN_H
#define UFORK_LIB_SPIN_H

#include "lib/types.h"

struct spin {
  u32 held;
};

#define SPIN_INIT                                                                                  \
  { 0 }

/* Gives the CPU to whoever may hold the lock; provided by the platform. */
void plat_relax(void);

KEEPS_REGISTERS void spin_lock_slow(struct spin *s);

static inline bool spin_trylock(struct spin *s) {
  return __atomic_load_n(&s->held, __ATOMIC_RELAXED) == 0 &&
         __atomic_exchange_n(&s->held, 1, __ATOMIC_ACQUIRE) == 0;
}

static inline void spin_lock(struct spin *s) {
  if (unlikely(__atomic_exchange_n(&s->held, 1, __ATOMIC_ACQUIRE) != 0))
    CALL_KEEPING(spin_lock_slow, s);
}

static inline void spin_unlock(struct spin *s) { __atomic_store_n(&s->held, 0, __ATOMIC_RELEASE); }

static inline bool spin_is_locked(const struct spin *s) {
  return __atomic_load_n(&s->held, __ATOMIC_RELAXED) != 0;
}

#endif
