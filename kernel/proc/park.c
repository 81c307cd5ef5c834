/* SPDX-License-Identifier: MIT */
/*
 * Parking: fork wants a snapshot that no sibling changes meanwhile. Every other thread of the
 * process gets WORK_PARK and stops where it would return to user code, or where it would return
 * from an interruptible sleep. A thread that is off the CPU and cannot run user code without
 * looking at WORK_PARK first counts as parked where it is.
 *
 * Processes may share memory without being threads of one another (clone with CLONE_VM): these kin
 * are parked as well. One process at a time has parked its kin; two that do so at once take turns,
 * and who waits for its turn counts as parked.
 */
#include "kernel/mm/space.h"
#include "kernel/proc/internal.h"

#define YIELDS_BEFORE_SLEEP 50
#define SLEEP_NS 50000

static bool is_parked(const struct thread *t) {
  if (__atomic_load_n(&t->on_cpu, __ATOMIC_SEQ_CST))
    return false;
  enum thread_state s = __atomic_load_n(&t->state, __ATOMIC_SEQ_CST);
  return t->at_edge || (s != THREAD_RUNNABLE && s != THREAD_DEAD);
}

static struct mutex kin_lock = {.q = WAITQ_INIT(kin_lock.q)}; /* inside p->park_lock */

struct parking {
  struct thread *me;
  bool all; /* parked */
};

/* Marks those of p's threads that are not parked, since new ones may have come. */
static void look_at(struct proc *p, struct parking *k) {
  struct thread *t;
  spin_lock(&p->lock);
  list_for_each(t, &p->threads, proc_node) {
    if (t == k->me)
      continue;
    if (!(__atomic_load_n(&t->work, __ATOMIC_RELAXED) & WORK_PARK))
      thread_set_work(t, WORK_PARK);
    if (!is_parked(t))
      k->all = false;
  }
  spin_unlock(&p->lock);
}

static void look_at_kin(struct proc *q, void *arg) {
  struct parking *k = arg;
  struct proc *p = k->me->proc;
  spin_lock(&q->lock);
  bool kin = q != p && q->space == p->space;
  q->kin_parked |= kin;
  spin_unlock(&q->lock);
  if (kin)
    look_at(q, k);
}

static bool all_parked(struct proc *p, struct thread *me) {
  struct parking k = {.me = me, .all = true};
  look_at(p, &k);
  if (p->has_kin)
    proc_for_each(look_at_kin, &k);
  return k.all;
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
  p->has_kin = space_is_shared(p->space);
  if (p->has_kin)
    mutex_lock(&kin_lock);
  for (unsigned round = 0; !all_parked(p, me); round++) {
    if (p->exiting || p->exec_thread) {
      proc_unpark_siblings();
      return false;
    }
    wait_a_little(me, round);
  }
  return true;
}

static void unpark(struct proc *p, struct thread *me) {
  struct thread *t;
  spin_lock(&p->lock);
  p->kin_parked = false;
  list_for_each(t, &p->threads, proc_node) if (t != me) thread_clear_work(t, WORK_PARK);
  spin_unlock(&p->lock);
  waitq_wake(&p->park_q, 0, 0, 0);
}

/* Some may have other memory by now. */
static void unpark_kin(struct proc *q, void *me) {
  if (__atomic_load_n(&q->kin_parked, __ATOMIC_RELAXED))
    unpark(q, me);
}

void proc_unpark_siblings(void) {
  struct thread *me = thread_current();
  struct proc *p = me->proc;
  unpark(p, me);
  if (p->has_kin) {
    proc_for_each(unpark_kin, me);
    mutex_unlock(&kin_lock);
  }
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
