/* SPDX-License-Identifier: MIT */
#include "kernel/kassert.h"
#include "kernel/sched/sched.h"

enum { FREE, HELD, CONTENDED };

void mutex_init(struct mutex *m) {
  m->state = FREE;
  m->owner = NULL;
  waitq_init(&m->q);
}

bool mutex_trylock(struct mutex *m) {
  u32 expected = FREE;
  if (!__atomic_compare_exchange_n(&m->state, &expected, HELD, false, __ATOMIC_ACQUIRE,
                                   __ATOMIC_RELAXED))
    return false;
  m->owner = thread_current();
  return true;
}

/* Whoever gets the lock here leaves it CONTENDED, since others may sleep as well. */
static void lock_slow(struct mutex *m) {
  struct waiter w = {.exclusive = true};
  kassert(m->owner != thread_current());
  for (;;) {
    waitq_prepare(&m->q, &w, THREAD_UNINTERRUPTIBLE);
    if (__atomic_exchange_n(&m->state, CONTENDED, __ATOMIC_SEQ_CST) == FREE)
      break;
    schedule();
  }
  waitq_finish(&w);
  m->owner = thread_current();
}

void mutex_lock(struct mutex *m) {
  if (unlikely(!mutex_trylock(m)))
    lock_slow(m);
}

void mutex_unlock(struct mutex *m) {
  m->owner = NULL;
  if (__atomic_exchange_n(&m->state, FREE, __ATOMIC_SEQ_CST) == CONTENDED)
    waitq_wake(&m->q, 1, 0, 0);
}
