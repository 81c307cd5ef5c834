/* SPDX-License-Identifier: MIT */
/* User threads: from the first instruction to the last. */
#include "kernel/mm/space.h"
#include "kernel/mm/usercopy.h"
#include "kernel/proc/internal.h"
#include "kernel/signal/sig.h"
#include "lib/string.h"

struct thread *proc_thread_alloc(struct proc *p, void (*entry)(struct thread *t)) {
  struct thread *t = thread_alloc();
  if (!t)
    return NULL;
  if (!t->sig && !(t->sig = thread_sig_alloc())) {
    thread_put(t);
    return NULL;
  }
  proc_get(p);
  t->proc = p;
  t->is_user = true;
  plat_thread_init(t, entry);
  return t;
}

void proc_thread_link(struct proc *p, struct thread *t) {
  spin_lock(&p->lock);
  list_push_back(&p->threads, &t->proc_node);
  p->nthreads++;
  spin_unlock(&p->lock);
}

/* Threads or processes that share the memory may wait for this thread's end. */
static void release_user_state(struct thread *t, bool shared) {
  if (unlikely(t->robust_list))
    futex_exit_robust(t);
  if (shared && t->clear_tid && user_store32(t->clear_tid, 0) == 0)
    futex_wake_user(t->clear_tid, 1);
  t->clear_tid = 0;
}

/* Takes the running thread out of its process; true if it was the last. */
static bool leave_process(struct thread *me, struct proc *p) {
  bool report_stop = false;
  spin_lock(&p->lock);
  list_remove(&me->proc_node);
  bool last = --p->nthreads == 0;
  cpu_time_leave(p, me);
  if (!last) {
    signal_retarget(p);
    report_stop = jobctl_all_stopped(p);
  }
  spin_unlock(&p->lock);
  __atomic_add_fetch(&proc_stats.syscalls, me->nsyscalls, __ATOMIC_RELAXED);
  if (p->exec_thread)
    waitq_wake(&p->park_q, 0, 0, 0);
  if (report_stop) {
    spin_lock(&proc_tree_lock);
    jobctl_notify_parent(p, CLD_STOPPED, p->stop_signal);
    spin_unlock(&proc_tree_lock);
  }
  return last;
}

_Noreturn void thread_exit_current(void) {
  struct thread *me = thread_current();
  struct proc *p = me->proc;
  release_user_state(me, p->nthreads > 1 || p->vfork_pending);
  /* Before it leaves: a sibling that executes waits for that and takes the leader's id over. */
  pid_clear(me->tid, PID_THREAD);
  bool last = leave_process(me, p);
  sighand_drop_thread(p->sighand, me->sig);
  if (last)
    proc_finish(p);
  me->region = NULL;
  sched_exit();
}

/* Ends the other threads of p: they leave at the kernel's edge. proc->lock held. */
static void condemn_others(struct proc *p, struct thread *me) {
  struct thread *t;
  list_for_each(t, &p->threads, proc_node) {
    if (t == me)
      continue;
    thread_set_work(t, WORK_SIGNAL);
    sched_interrupt(t);
    sched_continue(t);
  }
}

void proc_condemn(struct proc *p, int wait_status) {
  if (p->exiting)
    return;
  p->exiting = true;
  p->exit_status = wait_status;
  if (p->nthreads > 1)
    condemn_others(p, thread_current());
  waitq_wake(&p->park_q, 0, 0, 0);
}

_Noreturn void proc_exit_group(int wait_status) {
  struct proc *p = proc_current();
  spin_lock(&p->lock);
  proc_condemn(p, wait_status);
  spin_unlock(&p->lock);
  thread_exit_current();
}

bool proc_kill_siblings(void) {
  struct thread *me = thread_current();
  struct proc *p = me->proc;
  spin_lock(&p->lock);
  if (p->exiting || p->exec_thread) {
    spin_unlock(&p->lock);
    return false;
  }
  p->exec_thread = me;
  condemn_others(p, me);
  spin_unlock(&p->lock);
  waitq_wake(&p->park_q, 0, 0, 0);

  struct waiter w = {.thread = NULL};
  for (;;) {
    waitq_prepare(&p->park_q, &w, THREAD_UNINTERRUPTIBLE);
    if (__atomic_load_n(&p->nthreads, __ATOMIC_SEQ_CST) == 1)
      break;
    schedule();
  }
  waitq_finish(&w);
  spin_lock(&p->lock);
  p->exec_thread = NULL;
  bool alive = !p->exiting;
  spin_unlock(&p->lock);
  return alive;
}
