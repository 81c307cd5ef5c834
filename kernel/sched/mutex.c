/* SPDX-License-Identifier: MIT */
/* What the inline halves in sched.h leave: initialisation and contention. */
#include "kernel/sched/sched.h"

void mutex_init(struct mutex *m) {
  m->state = MUTEX_FREE;
#ifdef LOCK_CHECK
  m->class = 0;
#endif
  waitq_init(&m->q);
}

/* Most sections are shorter than it takes to go to sleep and be woken on another CPU. */
#define SPINS 100

/* Waits a moment for a lock that nobody sleeps for. */
static bool spin_for(struct mutex *m) {
  if (plat_ncpus() == 1)
    return false;
  for (unsigned i = 0; i < SPINS; i++) {
    u32 state = __atomic_load_n(&m->state, __ATOMIC_RELAXED);
    if (state == MUTEX_CONTENDED)
      return false;
    if (state == MUTEX_FREE && mutex_trylock_raw(m))
      return true;
    __builtin_ia32_pause();
  }
  return false;
}

/* Whoever gets the lock after a sleep leaves it CONTENDED, since others may sleep as well. */
KEEPS_REGISTERS void mutex_lock_slow(struct mutex *m) {
  struct waiter w = {.exclusive = true};
  if (spin_for(m))
    return;
  for (;;) {
    waitq_prepare(&m->q, &w, THREAD_UNINTERRUPTIBLE);
    if (__atomic_exchange_n(&m->state, MUTEX_CONTENDED, __ATOMIC_SEQ_CST) == MUTEX_FREE)
      break;
    schedule();
  }
  waitq_finish(&w);
}

KEEPS_REGISTERS void mutex_unlock_slow(struct mutex *m) { waitq_wake(&m->q, 1, 0, 0); }
