/* SPDX-License-Identifier: MIT */
/* Ids of the running process and of others: processes, groups, sessions. */
#include "kernel/mm/usercopy.h"
#include "kernel/proc/internal.h"
#include "kernel/syscall/syscall.h"

LEAF_CALL i64 sys_getpid(struct uregs *r) {
  (void)r;
  return proc_current()->pid;
}

LEAF_CALL i64 sys_gettid(struct uregs *r) {
  (void)r;
  return thread_current()->tid;
}

LEAF_CALL i64 sys_getppid(struct uregs *r) {
  (void)r;
  return __atomic_load_n(&proc_current()->ppid, __ATOMIC_RELAXED);
}

i64 sys_set_tid_address(struct uregs *r) {
  struct thread *t = thread_current();
  t->clear_tid = r->rdi;
  return t->tid;
}

/* An id of process `pid` (0: the caller). */
static i64 id_of(int pid, int (*id)(struct proc *p)) {
  if (pid == 0)
    return id(proc_current());
  struct proc *p = pid > 0 ? proc_find(pid) : NULL;
  if (!p)
    return -ESRCH;
  i64 ret = id(p);
  proc_put(p);
  return ret;
}

i64 sys_getpgrp(struct uregs *r) {
  (void)r;
  return proc_pgid(proc_current());
}

i64 sys_getpgid(struct uregs *r) { return id_of((int)r->rdi, proc_pgid); }

i64 sys_getsid(struct uregs *r) { return id_of((int)r->rdi, proc_sid); }

static bool leads_session(const struct proc *p) { return p->pgrp->session->sid == p->pid; }

static void move(struct proc *p, struct pgrp *g) {
  pgrp_leave(p);
  pgrp_join(p, g);
}

/* proc_tree_lock held. */
static int set_pgid(struct proc *me, struct proc *p, int pgid) {
  if (p != me && (p->parent != me || p->state == PROC_ZOMBIE))
    return -ESRCH;
  if (p != me && p->did_exec)
    return -EACCES;
  if (p->pgrp->session != me->pgrp->session || leads_session(p))
    return -EPERM;
  if (p->pgrp->pgid == pgid)
    return 0;
  struct pgrp *g = pgrp_find(pgid);
  if (pgid != p->pid && (!g || g->session != me->pgrp->session))
    return -EPERM;
  if (!g)
    g = pgrp_create(pgid, p->pgrp->session);
  if (!g)
    return -ENOMEM;
  move(p, g);
  return 0;
}

i64 sys_setpgid(struct uregs *r) {
  struct proc *me = proc_current();
  int pid = (int)r->rdi ? (int)r->rdi : me->pid;
  int pgid = (int)r->rsi ? (int)r->rsi : pid;
  if (pgid < 0)
    return -EINVAL;
  struct proc *p = proc_find(pid);
  if (!p)
    return -ESRCH;
  spin_lock(&proc_tree_lock);
  int err = p->pgrp ? set_pgid(me, p, pgid) : -ESRCH;
  spin_unlock(&proc_tree_lock);
  proc_put(p);
  return err;
}

i64 sys_setsid(struct uregs *r) {
  (void)r;
  struct proc *me = proc_current();
  i64 ret = -EPERM;
  spin_lock(&proc_tree_lock);
  if (pgrp_find(me->pid))
    goto out;
  ret = -ENOMEM;
  struct session *s = session_create(me->pid);
  if (!s)
    goto out;
  struct pgrp *g = pgrp_create(me->pid, s);
  if (!g) {
    session_discard(s);
    goto out;
  }
  move(me, g);
  ret = me->pid;
out:
  spin_unlock(&proc_tree_lock);
  return ret;
}

/* ---- robust futexes --------------------------------------------------------------------- */

#define ROBUST_HEAD_SIZE 24

i64 sys_set_robust_list(struct uregs *r) {
  if (r->rsi != ROBUST_HEAD_SIZE)
    return -EINVAL;
  thread_current()->robust_list = r->rdi;
  return 0;
}

i64 sys_get_robust_list(struct uregs *r) {
  struct thread *t = thread_current();
  u64 size = ROBUST_HEAD_SIZE, head;
  if ((int)r->rdi != 0 && (int)r->rdi != t->tid) {
    struct thread *other = thread_find((int)r->rdi);
    if (!other)
      return -ESRCH;
    bool same = other->proc == t->proc;
    head = other->robust_list;
    thread_put(other);
    if (!same)
      return -EPERM;
  } else {
    head = t->robust_list;
  }
  if (copy_to_user(r->rdx, &size, sizeof size) < 0)
    return -EFAULT;
  return copy_to_user(r->rsi, &head, sizeof head);
}
