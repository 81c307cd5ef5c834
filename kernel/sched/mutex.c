/* SPDX-License-Identifier: MIT */
/* What the inline halves in sched.h leave: initialisation and contention. */
#include "kernel/kassert.h"
#include "kernel/sched/sched.h"

void mutex_init(struct mutex *m) {
  m->state = MUTEX_FREE;
  m->owner = NULL;
#ifdef LOCK_CHECK
  m->class = 0;
#endif
  waitq_init(&m->q);
}

/* Whoever gets the lock here leaves it CONTENDED, since others may sleep as well. */
void mutex_lock_slow(struct mutex *m) {
  struct waiter w = {.exclusive = true};
  kassert(__atomic_load_n(&m->owner, __ATOMIC_RELAXED) != thread_current());
  for (;;) {
    waitq_prepare(&m->q, &w, THREAD_UNINTERRUPTIBLE);
    if (__atomic_exchange_n(&m->state, MUTEX_CONTENDED, __ATOMIC_SEQ_CST) == MUTEX_FREE)
      break;
    schedule();
  }
  waitq_finish(&w);
  __atomic_store_n(&m->owner, thread_current(), __ATOMIC_RELAXED);
}

void mutex_unlock_slow(struct mutex *m) { waitq_wake(&m->q, 1, 0, 0); }
