/* SPDX-License-Identifier: MIT */
/*
 * Spinlocks. The kernel is not preemptible by its own scheduler, but a platform may be (a
 * hosted vCPU is a host thread), so a waiter that spins long calls plat_relax().
 * A holder must not sleep, call schedule() or touch user memory that may fault.
 *
 * With LOCK_CHECK (make DEBUG=1), all of that and the order of locks is checked; see
 * kernel/sched/lock_check.h.
 */
#ifndef UFORK_LIB_SPIN_H
#define UFORK_LIB_SPIN_H

#include "lib/types.h"

struct spin {
  u32 held;
#ifdef LOCK_CHECK
  u32 class; /* 0: not yet known */
#endif
};

#define SPIN_INIT                                                                                  \
  { 0 }

/* Gives the CPU to whoever may hold the lock; provided by the platform. */
void plat_relax(void);

KEEPS_REGISTERS void spin_lock_slow(struct spin *s);

static inline bool spin_trylock_raw(struct spin *s) {
  return __atomic_load_n(&s->held, __ATOMIC_RELAXED) == 0 &&
         __atomic_exchange_n(&s->held, 1, __ATOMIC_ACQUIRE) == 0;
}

static inline void spin_lock_raw(struct spin *s) {
  if (unlikely(__atomic_exchange_n(&s->held, 1, __ATOMIC_ACQUIRE) != 0))
    CALL_KEEPING(spin_lock_slow, s);
}

static inline void spin_unlock_raw(struct spin *s) {
  __atomic_store_n(&s->held, 0, __ATOMIC_RELEASE);
}

static inline bool spin_is_locked(const struct spin *s) {
  return __atomic_load_n(&s->held, __ATOMIC_RELAXED) != 0;
}

#ifndef LOCK_CHECK

static inline bool spin_trylock(struct spin *s) { return spin_trylock_raw(s); }
static inline void spin_lock(struct spin *s) { spin_lock_raw(s); }
static inline void spin_unlock(struct spin *s) { spin_unlock_raw(s); }

#else

/* Where and as what a lock is taken. */
struct lock_site {
  const char *file, *expr;
  int line;
};
#define LOCK_SITE(lock)                                                                            \
  ({                                                                                               \
    static const struct lock_site site_ = {__FILE__, #lock, __LINE__};                             \
    &site_;                                                                                        \
  })

/* kernel/sched/lock_check.c. `class` belongs to the lock. `tried`: it has been taken already. */
void lock_check_take(const void *lock, u32 *class, bool sleeps, bool tried,
                     const struct lock_site *site);
void lock_check_drop(const void *lock);

static inline bool spin_trylock_at(struct spin *s, const struct lock_site *site) {
  if (!spin_trylock_raw(s))
    return false;
  lock_check_take(s, &s->class, false, true, site);
  return true;
}

static inline void spin_lock_at(struct spin *s, const struct lock_site *site) {
  lock_check_take(s, &s->class, false, false, site);
  spin_lock_raw(s);
}

static inline void spin_unlock(struct spin *s) {
  lock_check_drop(s);
  spin_unlock_raw(s);
}

#define spin_trylock(s) spin_trylock_at((s), LOCK_SITE(s))
#define spin_lock(s) spin_lock_at((s), LOCK_SITE(s))

#endif

#endif
