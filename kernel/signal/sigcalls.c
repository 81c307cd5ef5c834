/* SPDX-License-Identifier: MIT */
/* System calls on actions, masks and waiting. */
#include "kernel/errno.h"
#include "kernel/mm/usercopy.h"
#include "kernel/proc/proc.h"
#include "kernel/signal/sig.h"
#include "kernel/syscall/syscall.h"
#include "kernel/time/clock.h"

/* ---- actions ------------------------------------------------------------------------------- */

/* A signal that becomes ignored is dropped where it is pending. Both locks held. */
static void drop_ignored(struct proc *p, int signo) {
  struct thread *t;
  u64 bit = SIG_BIT(signo);
  sigpending_drop(p->sighand, &p->sighand->shared, bit);
  list_for_each(t, &p->threads, proc_node) sigpending_drop(p->sighand, &t->sig->pending, bit);
}

static void set_action(struct proc *p, int signo, const struct sigact *sa) {
  spin_lock(&p->lock);
  spin_lock(&p->sighand->lock);
  *sigact_change(p->sighand, signo) = *sa;
  if (sa->handler == SIG_IGN || (sa->handler == SIG_DFL && (SIG_BIT(signo) & SIG_DFL_IGNORED)))
    drop_ignored(p, signo);
  spin_unlock(&p->sighand->lock);
  spin_unlock(&p->lock);
}

i64 sys_rt_sigaction(struct uregs *r) {
  struct proc *p = proc_current();
  int signo = (int)r->rdi;
  struct sigact sa, old;
  if (r->r10 != SIGSET_SIZE || signo < 1 || signo >= NSIG)
    return -EINVAL;
  if (r->rsi && (SIG_BIT(signo) & SIG_UNBLOCKABLE))
    return -EINVAL;
  if (r->rsi && copy_from_user(&sa, r->rsi, sizeof sa) < 0)
    return -EFAULT;
  old = *sigact_of(p->sighand, signo);
  if (r->rsi) {
    sa.mask &= ~SIG_UNBLOCKABLE;
    set_action(p, signo, &sa);
  }
  return r->rdx ? copy_to_user(r->rdx, &old, sizeof old) : 0;
}

i64 sys_sigaltstack(struct uregs *r) {
  struct thread *t = thread_current();
  struct sigaltstack new_, old = t->sig->alt;
  u64 sp = (u32)(r->rsp - t->tcb_base);
  bool active = sigaltstack_active(&old, sp);
  if (r->rdi && copy_from_user(&new_, r->rdi, sizeof new_) < 0)
    return -EFAULT;
  if (r->rdi) {
    i32 mode = new_.flags & ~(i32)SS_AUTODISARM;
    if (active)
      return -EPERM;
    if (mode != 0 && mode != SS_DISABLE && mode != SS_ONSTACK)
      return -EINVAL;
    if (mode == SS_DISABLE)
      new_ = (struct sigaltstack){.flags = SS_DISABLE};
    else if (new_.size < MINSIGSTKSZ)
      return -ENOMEM;
    new_.flags &= ~SS_ONSTACK;
    new_.pad = 0;
    t->sig->alt = new_;
  }
  if (active)
    old.flags |= SS_ONSTACK;
  return r->rsi ? copy_to_user(r->rsi, &old, sizeof old) : 0;
}

/* ---- masks ----------------------------------------------------------------------------------- */

static inline bool combine(u64 how, u64 set, u64 *mask) {
  if ((u32)how == 2)
    *mask = set;
  else if ((u32)how == 0)
    *mask |= set;
  else if ((u32)how == 1)
    *mask &= ~set;
  else
    return false;
  return true;
}

static inline i64 tell_mask(u64 uaddr, u64 mask) { return uaddr ? user_put64(uaddr, mask) : 0; }

static __attribute__((noinline)) i64 mask_changed(u64 uaddr, u64 old) {
  signal_mask_changed(thread_current()->sig->blocked & ~old);
  return tell_mask(uaddr, old);
}

static inline i64 change_mask(struct thread *me, const struct uregs *r, u64 set) {
  u64 old = me->sig->blocked, mask = old;
  if (unlikely(!combine(r->rdi, set, &mask)))
    return -EINVAL;
  return unlikely(signal_swap_mask(me, mask)) ? mask_changed(r->rdx, old) : tell_mask(r->rdx, old);
}

/* The set's page is absent, or it has a bad address. */
static __attribute__((noinline)) i64 change_mask_slowly(const struct uregs *r) {
  u64 set;
  if (copy_from_user(&set, r->rsi, sizeof set) < 0)
    return -EFAULT;
  return change_mask(thread_current(), r, set);
}

/* Every fork of musl makes four of these calls, and its child two. All functions that it calls are
   called last, so that it has no registers to save. */
i64 sys_rt_sigprocmask(struct uregs *r) {
  struct thread *me = thread_current();
  u64 set;
  if (unlikely(r->r10 != SIGSET_SIZE))
    return -EINVAL;
  if (unlikely(!r->rsi))
    return tell_mask(r->rdx, me->sig->blocked);
  return likely(user_try_get64(r->rsi, &set)) ? change_mask(me, r, set) : change_mask_slowly(r);
}

i64 sys_rt_sigpending(struct uregs *r) {
  struct thread *t = thread_current();
  u64 set = (t->sig->pending.set | t->proc->sighand->shared.set) & t->sig->blocked;
  if (r->rsi > SIGSET_SIZE)
    return -EINVAL;
  return copy_to_user(r->rdi, &set, r->rsi);
}

int signal_set_temp_mask(u64 uaddr, u64 size) {
  u64 mask;
  if (uaddr == 0)
    return 0;
  if (size != SIGSET_SIZE)
    return -EINVAL;
  if (copy_from_user(&mask, uaddr, sizeof mask) < 0)
    return -EFAULT;
  struct thread_sig *ts = thread_current()->sig;
  ts->saved_mask = ts->blocked;
  ts->mask_saved = true;
  signal_set_mask(mask);
  return 0;
}

void signal_restore_temp_mask(bool interrupted) {
  struct thread_sig *ts = thread_current()->sig;
  if (!ts->mask_saved || (interrupted && signal_pending()))
    return; /* a pending signal is delivered under this mask; signal_deliver restores it */
  ts->mask_saved = false;
  signal_set_mask(ts->saved_mask);
}

/* ---- waiting --------------------------------------------------------------------------------- */

static i64 wait_for_signal(void) {
  struct waitq none;
  waitq_init(&none);
  waitq_wait(&none, false);
  return -ERESTARTNOHAND;
}

i64 sys_pause(struct uregs *r) {
  (void)r;
  return wait_for_signal();
}

i64 sys_rt_sigsuspend(struct uregs *r) {
  if (r->rdi == 0)
    return -EFAULT;
  int err = signal_set_temp_mask(r->rdi, r->rsi);
  return err < 0 ? err : wait_for_signal();
}

int signal_take(u64 set, struct ksiginfo *info) {
  struct thread *t = thread_current();
  struct sighand *sh = t->proc->sighand;
  spin_lock(&sh->lock);
  int signo = sigpending_take(sh, &t->sig->pending, set, info);
  if (signo == 0)
    signo = sigpending_take(sh, &sh->shared, set, info);
  spin_unlock(&sh->lock);
  return signo;
}

/* Takes a signal of `set` that is pending or comes before the deadline. */
static i64 wait_in_set(u64 set, u64 deadline, struct ksiginfo *info) {
  struct thread *t = thread_current();
  int signo = signal_take(set, info);
  int err = 0;
  __atomic_store_n(&t->sig->waiting_for, set, __ATOMIC_SEQ_CST);
  while (signo == 0 && err == 0) {
    sched_set_state(t, THREAD_SLEEPING);
    signo = signal_take(set, info);
    if (signo != 0)
      break;
    if (signal_pending()) {
      err = -EINTR;
      break;
    }
    err = schedule_until(deadline);
    if (err == -ETIMEDOUT)
      err = -EAGAIN;
    signo = signal_take(set, info);
  }
  sched_set_state(t, THREAD_RUNNABLE);
  __atomic_store_n(&t->sig->waiting_for, 0, __ATOMIC_SEQ_CST);
  signal_recalc();
  return signo != 0 ? signo : err;
}

i64 sys_rt_sigtimedwait(struct uregs *r) {
  u64 set, deadline;
  struct ksiginfo info;
  if (r->r10 != SIGSET_SIZE)
    return -EINVAL;
  if (copy_from_user(&set, r->rdi, sizeof set) < 0)
    return -EFAULT;
  int err = timeout_from_user(r->rdx, &deadline);
  if (err < 0)
    return err;
  i64 ret = wait_in_set(set & ~SIG_UNBLOCKABLE, deadline, &info);
  if (ret > 0 && r->rsi) {
    u8 raw[128];
    siginfo_encode(&info, raw);
    if (copy_to_user(r->rsi, raw, sizeof raw) < 0)
      return -EFAULT;
  }
  return ret;
}
