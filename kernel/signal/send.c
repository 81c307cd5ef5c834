/* SPDX-License-Identifier: MIT */
/* Sending: who may, what it does to the target, which thread has to look. */
#include "kernel/errno.h"
#include "kernel/proc/internal.h"
#include "kernel/signal/sig.h"

/* ---- what a thread would take ----------------------------------------------------------- */

u64 signal_deliverable(const struct thread *t) {
  struct proc *p = t->proc;
  u64 pending = __atomic_load_n(&t->sig->pending.set, __ATOMIC_SEQ_CST) |
                __atomic_load_n(&p->sighand->shared.set, __ATOMIC_SEQ_CST);
  return pending & ~t->sig->blocked;
}

/* Something else than a signal wants the thread at the kernel's edge. */
static bool summoned(const struct thread *t) {
  struct proc *p = t->proc;
  return p->exiting || (p->exec_thread && p->exec_thread != t) || p->stopping;
}

bool signal_pending_now(void) {
  struct thread *t = thread_current();
  return t->sig && (summoned(t) || signal_deliverable(t) != 0);
}

bool signal_fatal_pending(void) {
  struct thread *t = thread_current();
  return summoned(t) || (signal_deliverable(t) & SIG_BIT(SIGKILL));
}

void signal_recalc(void) {
  struct thread *t = thread_current();
  /* What summons a thread sets the bit as well, so nothing else is to be looked at without it. */
  if (likely(!(__atomic_load_n(&t->work, __ATOMIC_SEQ_CST) & WORK_SIGNAL)) &&
      !signal_deliverable(t))
    return;
  /* Clear first: a signal that comes meanwhile sets the bit again. */
  thread_clear_work(t, WORK_SIGNAL);
  if (summoned(t) || signal_deliverable(t))
    __atomic_or_fetch(&t->work, WORK_SIGNAL, __ATOMIC_SEQ_CST);
}

/* ---- choosing a thread ------------------------------------------------------------------ */

static void summon(struct thread *t) {
  thread_set_work(t, WORK_SIGNAL);
  sched_interrupt(t);
}

static bool wants(const struct thread *t, int signo) {
  return !(t->sig->blocked & SIG_BIT(signo)) || (t->sig->waiting_for & SIG_BIT(signo));
}

/* A thread that can take signo, the caller first, then one that sleeps or runs. */
static struct thread *pick_thread(struct proc *p, int signo) {
  struct thread *me = thread_current(), *t;
  if (me->proc == p && me->sig && wants(me, signo))
    return me;
  list_for_each(t, &p->threads, proc_node) if (wants(t, signo)) return t;
  return NULL;
}

void signal_retarget(struct proc *p) {
  struct thread *t;
  u64 set = p->sighand->shared.set;
  if (set == 0)
    return;
  list_for_each(t, &p->threads, proc_node) if (set & ~t->sig->blocked) summon(t);
}

static void retarget(struct proc *p, u64 newly_blocked) {
  if (!(p->sighand->shared.set & newly_blocked))
    return;
  spin_lock(&p->lock);
  signal_retarget(p);
  spin_unlock(&p->lock);
}

void signal_mask_changed(u64 newly_blocked) {
  struct proc *p = proc_current();
  if (p->nthreads > 1)
    retarget(p, newly_blocked);
  signal_recalc();
}

void signal_set_mask(u64 mask) {
  struct thread *me = thread_current();
  u64 old = me->sig->blocked;
  if (signal_swap_mask(me, mask))
    signal_mask_changed(me->sig->blocked & ~old);
}

/* ---- sending ---------------------------------------------------------------------------- */

static bool is_ignored(struct sighand *sh, int signo) {
  u64 h = sigact_of(sh, signo)->handler;
  return h == SIG_IGN || (h == SIG_DFL && (SIG_BIT(signo) & SIG_DFL_IGNORED));
}

/* taker: who could take it, or NULL. sighand->lock held. */
static bool is_dropped(struct sighand *sh, const struct thread *taker, int signo) {
  return taker && is_ignored(sh, signo) && !(taker->sig->blocked & SIG_BIT(signo));
}

bool signal_is_dropped(struct proc *p, int signo) {
  struct sighand *sh = p->sighand;
  spin_lock(&p->lock);
  spin_lock(&sh->lock);
  bool dropped = is_dropped(sh, pick_thread(p, signo), signo);
  spin_unlock(&sh->lock);
  spin_unlock(&p->lock);
  return dropped;
}

/* Drops `set` wherever it is pending in p. sighand->lock held. */
static void drop_everywhere(struct proc *p, u64 set) {
  struct thread *t;
  sigpending_drop(p->sighand, &p->sighand->shared, set);
  list_for_each(t, &p->threads, proc_node) sigpending_drop(p->sighand, &t->sig->pending, set);
}

/* Stop and continue signals cancel each other when they are sent, whatever their handlers. */
static void job_control(struct proc *p, int signo) {
  if (!(SIG_BIT(signo) & (SIG_STOPS | SIG_BIT(SIGCONT))))
    return;
  spin_lock(&p->sighand->lock);
  if (SIG_BIT(signo) & SIG_STOPS)
    drop_everywhere(p, SIG_BIT(SIGCONT));
  else
    drop_everywhere(p, SIG_STOPS);
  spin_unlock(&p->sighand->lock);
}

/* t NULL: to the process. */
int signal_send_locked(struct proc *p, struct thread *t, int signo, const struct ksiginfo *info) {
  struct sighand *sh = p->sighand;
  if (p->nthreads == 0 || p->exiting)
    return 0; /* gone already, or going */
  job_control(p, signo);
  /* Masks change under this lock: who unblocks the signal after this look finds it pending. */
  spin_lock(&sh->lock);
  struct thread *taker = t ? t : pick_thread(p, signo);
  bool blocked = t ? !wants(t, signo) : !taker;
  if (is_dropped(sh, taker, signo)) {
    spin_unlock(&sh->lock);
    if (signo == SIGCONT)
      jobctl_continue(p, signo);
    return 0;
  }
  u64 limit = p->limits[RLIMIT_SIGPENDING].cur;
  int err = sigpending_add(sh, t ? &t->sig->pending : &sh->shared, signo, info, limit);
  spin_unlock(&sh->lock);
  if (err == 0 && taker && !blocked)
    summon(taker);
  signalfd_notify(p);
  if (signo == SIGCONT || signo == SIGKILL)
    jobctl_continue(p, signo); /* after it is pending: it is the first thing that they see */
  return err;
}

int signal_send_proc(struct proc *p, int signo, const struct ksiginfo *info) {
  spin_lock(&p->lock);
  int err = signal_send_locked(p, NULL, signo, info);
  spin_unlock(&p->lock);
  return err;
}

int signal_send_thread(struct thread *t, int signo, const struct ksiginfo *info) {
  struct proc *p = t->proc;
  spin_lock(&p->lock);
  bool gone = list_empty(&t->proc_node);
  int err = gone ? -ESRCH : signal_send_locked(p, t, signo, info);
  spin_unlock(&p->lock);
  return err;
}

int signal_send_pgrp(int pgid, int signo, const struct ksiginfo *info) {
  struct proc *p;
  int err = -ESRCH;
  spin_lock(&proc_tree_lock);
  struct pgrp *g = pgrp_find(pgid);
  if (g) {
    err = 0;
    list_for_each(p, &g->members, pgrp_node) signal_send_proc(p, signo, info);
  }
  spin_unlock(&proc_tree_lock);
  return err;
}

void signal_force(int signo, const struct ksiginfo *info) {
  struct thread *t = thread_current();
  struct proc *p = t->proc;
  struct sighand *sh = p->sighand;
  spin_lock(&p->lock);
  spin_lock(&sh->lock);
  bool blocked = t->sig->blocked & SIG_BIT(signo);
  if (blocked || sigact_of(sh, signo)->handler == SIG_IGN)
    *sigact_change(sh, signo) = (struct sigact){.handler = SIG_DFL};
  t->sig->blocked &= ~SIG_BIT(signo);
  sigpending_drop(sh, &t->sig->pending, SIG_BIT(signo));
  sigpending_add(sh, &t->sig->pending, signo, info, RLIM_INFINITY);
  spin_unlock(&sh->lock);
  spin_unlock(&p->lock);
  thread_set_work(t, WORK_SIGNAL);
}

bool signal_is_ignored_or_blocked(int signo) {
  struct thread *t = thread_current();
  return (t->sig->blocked & SIG_BIT(signo)) ||
         sigact_of(t->proc->sighand, signo)->handler == SIG_IGN;
}

static bool owns(const struct proc *me, const struct proc *p) {
  return p == me || cred_may_signal(me->cred.uid, me->cred.euid, &p->cred);
}

int signal_may_send_locked(struct proc *p, int signo) {
  struct proc *me = proc_current();
  if (owns(me, p))
    return 0;
  bool same_session = p->pgrp && me->pgrp && p->pgrp->session == me->pgrp->session;
  return signo == SIGCONT && same_session ? 0 : -EPERM;
}

int signal_may_send(struct proc *p, int signo) {
  if (owns(proc_current(), p))
    return 0;
  spin_lock(&proc_tree_lock);
  int err = signal_may_send_locked(p, signo);
  spin_unlock(&proc_tree_lock);
  return err;
}
