/* SPDX-License-Identifier: MIT */
/* Resource limits. They are kept for all resources; doc/syscalls.md says which are enforced. */
#include "kernel/mm/usercopy.h"
#include "kernel/proc/internal.h"
#include "kernel/syscall/syscall.h"

/* Processes of the caller's real user, while somebody counts. */
struct count_user {
  u32 uid;
  u64 n;
};

static void count_one(struct proc *p, void *arg) {
  struct count_user *c = arg;
  if (p->cred.uid == c->uid && p->state != PROC_ZOMBIE)
    c->n++;
}

static __attribute__((noinline)) bool may_user_fork(struct proc *p, u64 limit) {
  if (p->cred.euid == 0)
    return true;
  struct count_user c = {p->cred.uid, 0};
  proc_for_each(count_one, &c);
  return c.n < limit;
}

/* RLIMIT_NPROC. Counting is linear, so it is done only where the limit could bite. */
bool proc_may_fork(struct proc *p) {
  u64 limit = p->limits[RLIMIT_NPROC].cur;
  return limit == RLIM_INFINITY || proc_count() < limit || may_user_fork(p, limit);
}

static int limit_set(struct proc *p, unsigned which, const struct rlimit *new_) {
  int err = 0;
  if (new_->cur > new_->max)
    return -EINVAL;
  spin_lock(&p->lock);
  if (new_->max > p->limits[which].max && !cred_is_root())
    err = -EPERM;
  else
    p->limits[which] = *new_;
  if (err == 0 && which == RLIMIT_CPU)
    cpu_limit_start(p);
  spin_unlock(&p->lock);
  return err;
}

/* prlimit64 on p, which the caller may touch. */
static i64 limit_change(struct proc *p, unsigned which, u64 new_uaddr, u64 old_uaddr) {
  struct rlimit new_, old;
  if (which >= RLIM_NLIMITS)
    return -EINVAL;
  if (new_uaddr && copy_from_user(&new_, new_uaddr, sizeof new_))
    return -EFAULT;
  old = p->limits[which];
  if (new_uaddr) {
    int err = limit_set(p, which, &new_);
    if (err)
      return err;
  }
  return old_uaddr ? copy_to_user(old_uaddr, &old, sizeof old) : 0;
}

i64 sys_getrlimit(struct uregs *r) {
  if (r->rsi == 0)
    return -EFAULT;
  return limit_change(proc_current(), (unsigned)r->rdi, 0, r->rsi);
}

i64 sys_setrlimit(struct uregs *r) {
  if (r->rsi == 0)
    return -EFAULT;
  return limit_change(proc_current(), (unsigned)r->rdi, r->rsi, 0);
}

i64 sys_prlimit64(struct uregs *r) {
  struct proc *me = proc_current();
  if (r->rdi == 0 || (i32)r->rdi == me->pid)
    return limit_change(me, (unsigned)r->rsi, r->rdx, r->r10);
  struct proc *p = proc_find((i32)r->rdi);
  if (!p)
    return -ESRCH;
  i64 ret = -EPERM;
  if (cred_is_root() || (me->cred.uid == p->cred.uid && me->cred.uid == p->cred.euid))
    ret = limit_change(p, (unsigned)r->rsi, r->rdx, r->r10);
  proc_put(p);
  return ret;
}
