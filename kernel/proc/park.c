/* SPDX-License-Identifier: MIT */
/*
 * Parking: fork wants a snapshot that no sibling changes meanwhile. Every other thread of the
 * process gets WORK_PARK and stops where it would return to user code, or where it would return
 * from an interruptible sleep. A thread that is off the CPU and cannot run user code without
 * looking at WORK_PARK first counts as parked where it is.
 */
#include "kernel/proc/internal.h"

#define YIELDS_BEFORE_SLEEP 50
#define SLEEP_NS 50000

static bool is_parked(const struct thread *t) {
  if (__atomic_load_n(&t->on_cpu, __ATOMIC_SEQ_CST))
    return false;
  enum thread_state s = __atomic_load_n(&t->state, __ATOMIC_SEQ_CST);
  return t->at_edge || (s != THREAD_RUNNABLE && s != THREAD_DEAD);
}

static bool all_parked(struct proc *p, struct thread *me) {
  struct thread *t;
  bool all = true;
  spin_lock(&p->lock);
  list_for_each(t, &p->threads, proc_node) if (t != me && !is_parked(t)) all = false;
  spin_unlock(&p->lock);
  return all;
}

static void mark_siblings(struct proc *p, struct thread *me) {
  struct thread *t;
  spin_lock(&p->lock);
  list_for_each(t, &p->threads, proc_node) if (t != me) thread_set_work(t, WORK_PARK);
  spin_unlock(&p->lock);
}

/* A sibling may be queued on this CPU, or run a while inside the kernel on another. */
static void wait_a_little(struct thread *me, unsigned round) {
  if (round < YIELDS_BEFORE_SLEEP) {
    plat_relax();
    sched_yield_cpu();
    return;
  }
  sched_set_state(me, THREAD_UNINTERRUPTIBLE);
  schedule_until(plat_now() + SLEEP_NS);
}

bool proc_park_siblings(void) {
  struct thread *me = thread_current();
  struct proc *p = me->proc;
  mutex_lock(&p->park_lock);
  mark_siblings(p, me);
  for (unsigned round = 0; !all_parked(p, me); round++) {
    if (p->exiting || p->exec_thread) {
      proc_unpark_siblings();
      return false;
    }
    wait_a_little(me, round);
  }
  return true;
}

void proc_unpark_siblings(void) {
  struct thread *me = thread_current();
  struct proc *p = me->proc;
  struct thread *t;
  spin_lock(&p->lock);
  list_for_each(t, &p->threads, proc_node) if (t != me) thread_clear_work(t, WORK_PARK);
  spin_unlock(&p->lock);
  waitq_wake(&p->park_q, 0, 0, 0);
  mutex_unlock(&p->park_lock);
}

void proc_park_here(void) {
  struct thread *me = thread_current();
  struct proc *p = me->proc;
  struct waiter w = {.thread = NULL};
  for (;;) {
    waitq_prepare(&p->park_q, &w, THREAD_UNINTERRUPTIBLE);
    if (!(__atomic_load_n(&me->work, __ATOMIC_SEQ_CST) & WORK_PARK) || p->exiting || p->exec_thread)
      break;
    schedule();
  }
  waitq_finish(&w);
}
