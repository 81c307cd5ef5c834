/* SPDX-License-Identifier: MIT */
#include "kernel/errno.h"
#include "kernel/sched/sched.h"
#include "kernel/time/timer.h"

void waitq_init(struct waitq *q) {
  q->lock = (struct spin)SPIN_INIT;
  list_init(&q->waiters);
}

/* Exclusive waiters queue behind the others, so that a wake-up finds those first. */
static void link_waiter(struct waitq *q, struct waiter *w) {
  w->q = q;
  if (w->exclusive)
    list_push_back(&q->waiters, &w->node);
  else
    list_push_front(&q->waiters, &w->node);
}

void waitq_add(struct waitq *q, struct waiter *w) {
  spin_lock(&q->lock);
  link_waiter(q, w);
  spin_unlock(&q->lock);
}

/* The last access to w, which its owner may free from then on. Queue's lock held. */
static void unlink_waiter(struct waiter *w) {
  list_remove(&w->node);
  __atomic_store_n(&w->q, NULL, __ATOMIC_RELEASE);
}

void waitq_remove(struct waiter *w) {
  struct waitq *q = __atomic_load_n(&w->q, __ATOMIC_ACQUIRE);
  if (!q)
    return;
  spin_lock(&q->lock);
  if (w->q) /* a waker may have unlinked it meanwhile */
    unlink_waiter(w);
  spin_unlock(&q->lock);
}

void waitq_prepare(struct waitq *q, struct waiter *w, enum thread_state state) {
  struct thread *me = thread_current();
  if (__atomic_load_n(&w->q, __ATOMIC_ACQUIRE) != q) {
    w->thread = me; /* wakers look at it while w is linked */
    waitq_add(q, w);
  }
  sched_set_state(me, state);
}

void waitq_prepare_unordered(struct waitq *q, struct waiter *w, enum thread_state state) {
  w->thread = thread_current();
  __atomic_store_n(&w->thread->state, state, __ATOMIC_RELAXED);
  waitq_add(q, w);
}

void waitq_finish(struct waiter *w) {
  __atomic_store_n(&thread_current()->state, THREAD_RUNNABLE, __ATOMIC_RELEASE);
  waitq_remove(w);
}

static bool wake_one(struct waiter *w, u32 events, unsigned flags) {
  return w->func ? w->func(w, events) : sched_wake(w->thread, flags);
}

/* A waiter cannot go away while it is linked and the lock is held. */
void waitq_wake_locking(struct waitq *q, int n, u32 events, unsigned flags) {
  struct waiter *w, *tmp;
  spin_lock(&q->lock);
  list_for_each_safe(w, tmp, &q->waiters, node) {
    if (!wake_one(w, events, flags))
      continue;
    bool exclusive = w->exclusive;
    if (w->leaves)
      unlink_waiter(w);
    if (exclusive && --n == 0)
      break;
  }
  spin_unlock(&q->lock);
}

void waitq_wake(struct waitq *q, int n, u32 events, unsigned flags) {
  if (waitq_has_waiters(q))
    waitq_wake_locking(q, n, events, flags);
}

/* The fence orders what the caller made true before the look at the queue; waitq_add's lock and
   sched_set_state order the other side. */
bool waitq_has_waiters(struct waitq *q) {
  __atomic_thread_fence(__ATOMIC_SEQ_CST);
  return !list_seems_empty(&q->waiters);
}

/* ---- timed sleep --------------------------------------------------------------------- */

struct sleep_timer {
  struct ktimer timer;
  struct thread *thread;
};

static void wake_sleeper(struct ktimer *t) {
  sched_wake(container_of(t, struct sleep_timer, timer)->thread, 0);
}

int schedule_until(u64 deadline) {
  if (deadline == UINT64_MAX) {
    schedule();
    return 0;
  }
  struct thread *me = thread_current();
  if (plat_now() >= deadline) {
    sched_set_state(me, THREAD_RUNNABLE);
    return -ETIMEDOUT;
  }
  struct sleep_timer s = {.thread = me};
  ktimer_init(&s.timer, wake_sleeper);
  ktimer_arm(&s.timer, deadline);
  schedule();
  return ktimer_cancel(&s.timer) ? 0 : -ETIMEDOUT;
}
