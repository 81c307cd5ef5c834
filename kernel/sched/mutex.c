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

/* Whoever gets the lock here leaves it CONTENDED, since others may sleep as well. */
KEEPS_REGISTERS void mutex_lock_slow(struct mutex *m) {
  struct waiter w = {.exclusive = true};
  for (;;) {
    waitq_prepare(&m->q, &w, THREAD_UNINTERRUPTIBLE);
    if (__atomic_exchange_n(&m->state, MUTEX_CONTENDED, __ATOMIC_SEQ_CST) == MUTEX_FREE)
      break;
    schedule();
  }
  waitq_finish(&w);
}

KEEPS_REGISTERS void mutex_unlock_slow(struct mutex *m) { waitq_wake(&m->q, 1, 0, 0); }
