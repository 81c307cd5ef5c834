/* SPDX-License-Identifier: MIT */
/* Delivery at the kernel's edge: take a signal, do what its action says, restart or end the system
   call it interrupted. */
#include "kernel/errno.h"
#include "kernel/mm/image.h"
#include "kernel/proc/internal.h"
#include "kernel/signal/sig.h"

/* ---- the interrupted system call ----------------------------------------------------------- */

static bool is_restart(i64 ret) { return ret <= -ERESTARTSYS && ret >= -ERESTARTBLOCK; }

static bool in_syscall(const struct uregs *r) { return r->orig_rax != (u64)-1; }

/* Makes r execute its system call again, if it was called by the usual sequence. */
static void restart(struct uregs *r) {
  u64 again = r->rip - UF_SYSCALL_SEQ;
  if (image_safe_point(again)) {
    r->rip = again;
    r->rax = r->orig_rax;
  } else {
    r->rax = (u64)-EINTR;
  }
  r->orig_rax = (u64)-1;
}

/* A handler is about to run. */
static void settle_before_handler(struct uregs *r, const struct sigact *sa) {
  i64 ret = (i64)r->rax;
  if (!in_syscall(r) || !is_restart(ret))
    return;
  if (ret == -ERESTARTNOINTR || (ret == -ERESTARTSYS && (sa->flags & SA_RESTART))) {
    restart(r);
    return;
  }
  thread_current()->restart_deadline = 0;
  r->rax = (u64)-EINTR;
  r->orig_rax = (u64)-1;
}

/* No handler runs: the call goes on as if nothing had happened. */
static bool settle_without_handler(struct uregs *r) {
  struct thread_sig *ts = thread_current()->sig;
  bool restarted = in_syscall(r) && is_restart((i64)r->rax);
  if (restarted)
    restart(r);
  if (ts->mask_saved) {
    ts->mask_saved = false;
    signal_set_mask(ts->saved_mask);
  }
  return restarted;
}

/* ---- actions --------------------------------------------------------------------------------- */

static int take(struct thread *t, struct ksiginfo *info, struct sigact *sa) {
  struct sighand *sh = t->proc->sighand;
  spin_lock(&sh->lock);
  u64 set = ~t->sig->blocked;
  if (sh->shared.set & SIG_BIT(SIGKILL))
    set = SIG_BIT(SIGKILL);
  int signo = sigpending_take(sh, &t->sig->pending, set, info);
  if (signo == 0)
    signo = sigpending_take(sh, &sh->shared, set, info);
  if (signo != 0) {
    *sa = *sigact_of(sh, signo);
    if (sa->handler > SIG_IGN && (sa->flags & SA_RESETHAND))
      *sigact_change(sh, signo) = (struct sigact){.handler = SIG_DFL};
  }
  spin_unlock(&sh->lock);
  return signo;
}

/* SIG_DFL. Returns if the process goes on. */
static void default_action(int signo) {
  struct proc *p = proc_current();
  u64 bit = SIG_BIT(signo);
  if (bit & SIG_DFL_IGNORED)
    return;
  if (bit & SIG_STOPS) {
    spin_lock(&proc_tree_lock);
    bool orphaned = pgrp_is_orphaned(p->pgrp, NULL);
    spin_unlock(&proc_tree_lock);
    if (signo == SIGSTOP || !orphaned)
      jobctl_stop(signo);
    else if (p->pid == 1) /* its shell is outside */
      plat_suspend(signo);
    return;
  }
  proc_exit_group(signo); /* without 0x80: no core file is ever written */
}

static void run_handler(struct uregs *r, int signo, const struct ksiginfo *info,
                        const struct sigact *sa) {
  struct thread *t = thread_current();
  struct thread_sig *ts = t->sig;
  u64 mask = ts->mask_saved ? ts->saved_mask : ts->blocked;
  ts->mask_saved = false;
  settle_before_handler(r, sa);
  if (r->orig_rax == (u64)-1)
    image_canonicalize(r, t->tcb_base);
  if (signal_frame_push(r, signo, info, sa, mask) < 0) {
    if (signo == SIGSEGV)
      proc_exit_group(SIGSEGV);
    struct ksiginfo fault = {.signo = SIGSEGV, .code = SI_KERNEL};
    signal_force(SIGSEGV, &fault);
    return;
  }
  u64 block = sa->mask | (sa->flags & SA_NODEFER ? 0 : SIG_BIT(signo));
  signal_set_mask(ts->blocked | block);
}

/* Ends, stops: what comes before any signal. */
static void obey_process(struct thread *t) {
  struct proc *p = t->proc;
  if (p->exiting || (p->exec_thread && p->exec_thread != t))
    thread_exit_current();
  if (p->stopping)
    jobctl_stop_here();
  if (p->tell_continued)
    jobctl_tell_continued();
}

bool signal_deliver(struct uregs *r) {
  struct thread *t = thread_current();
  bool handled = false;
  for (;;) {
    struct ksiginfo info;
    struct sigact sa;
    obey_process(t);
    if (t->proc->exiting || t->proc->stopping)
      continue;
    int signo = take(t, &info, &sa);
    if (signo == 0)
      break;
    if (sa.handler == SIG_IGN)
      continue;
    if (sa.handler == SIG_DFL) {
      default_action(signo);
      continue;
    }
    run_handler(r, signo, &info, &sa);
    handled = true;
  }
  signal_recalc();
  return handled ? true : settle_without_handler(r);
}
