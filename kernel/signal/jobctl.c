/* SPDX-License-Identifier: MIT */
/* Job control: stopping and continuing a whole process, and telling its parent. */
#include "kernel/proc/internal.h"
#include "kernel/signal/sig.h"

void jobctl_notify_parent(struct proc *p, int code, int status) {
  struct proc *parent = p->parent;
  if (code == CLD_STOPPED) {
    p->state = PROC_STOPPED;
    p->stop_unreported = true;
    p->continue_unreported = false;
  } else {
    p->stop_unreported = false;
    p->continue_unreported = true;
  }
  if (!parent)
    return;
  proc_sort_child(p);
  struct ksiginfo info = {
      .signo = SIGCHLD, .code = code, .pid = p->pid, .uid = p->cred.uid, .status = status};
  u64 flags = sigact_of(parent->sighand, SIGCHLD)->flags;
  if (!(flags & SA_NOCLDSTOP))
    signal_send_proc(parent, SIGCHLD, &info);
  waitq_wake(&parent->child_wait, 0, 0, 0);
}

bool jobctl_all_stopped(struct proc *p) { return p->stopping && p->nstopped == p->nthreads; }

/* A process that is about to die does not stop: nobody would wake it. proc->lock held. */
static bool is_doomed(struct proc *p) {
  struct thread *t;
  u64 pending = p->sighand->shared.set;
  list_for_each(t, &p->threads, proc_node) pending |= t->sig->pending.set;
  return p->exiting || (pending & SIG_BIT(SIGKILL));
}

/* Asks all threads to stop; each does at the kernel's edge. */
void jobctl_stop(int signo) {
  struct thread *me = thread_current(), *t;
  struct proc *p = me->proc;
  spin_lock(&p->lock);
  if (!p->stopping && !is_doomed(p)) {
    p->stopping = true;
    p->stop_signal = signo;
    p->nstopped = 0;
    list_for_each(t, &p->threads, proc_node) {
      thread_set_work(t, WORK_SIGNAL);
      sched_interrupt(t);
    }
  }
  spin_unlock(&p->lock);
}

void jobctl_stop_here(void) {
  struct thread *me = thread_current();
  struct proc *p = me->proc;
  spin_lock(&p->lock);
  if (!p->stopping || p->exiting || p->exec_thread) {
    spin_unlock(&p->lock);
    return;
  }
  sched_set_state(me, THREAD_STOPPED);
  p->nstopped++;
  bool last = jobctl_all_stopped(p);
  spin_unlock(&p->lock);
  if (last) {
    spin_lock(&proc_tree_lock);
    if (__atomic_load_n(&p->stopping, __ATOMIC_SEQ_CST))
      jobctl_notify_parent(p, CLD_STOPPED, p->stop_signal);
    spin_unlock(&proc_tree_lock);
  }
  schedule(); /* returns at once if continued meanwhile */
  sched_set_state(me, THREAD_RUNNABLE);
}

void jobctl_continue(struct proc *p, int signo) {
  struct thread *t;
  if (!p->stopping)
    return;
  /* The parent is told by a thread of p, which may take proc_tree_lock: before any of them runs. */
  if (signo == SIGCONT && jobctl_all_stopped(p))
    __atomic_store_n(&p->tell_continued, true, __ATOMIC_SEQ_CST);
  __atomic_store_n(&p->stopping, false, __ATOMIC_SEQ_CST);
  p->nstopped = 0;
  list_for_each(t, &p->threads, proc_node) sched_continue(t);
}

/* On p's way back to user code: the parent learns that it was continued. */
void jobctl_tell_continued(void) {
  struct proc *p = proc_current();
  spin_lock(&proc_tree_lock);
  if (__atomic_exchange_n(&p->tell_continued, false, __ATOMIC_SEQ_CST)) {
    if (p->state == PROC_STOPPED)
      p->state = PROC_ALIVE;
    jobctl_notify_parent(p, CLD_CONTINUED, SIGCONT);
  }
  spin_unlock(&proc_tree_lock);
}
