/* SPDX-License-Identifier: MIT */
/* System calls that send signals. */
#include "kernel/errno.h"
#include "kernel/mm/usercopy.h"
#include "kernel/proc/internal.h"
#include "kernel/signal/sig.h"
#include "kernel/syscall/syscall.h"

static struct ksiginfo info_from_me(int signo, int code) {
  struct proc *p = proc_current();
  return (struct ksiginfo){.signo = signo, .code = code, .pid = p->pid, .uid = p->cred.uid};
}

/* Permission, then the signal; signo 0 only asks. */
static int send_checked(struct proc *p, int signo, const struct ksiginfo *info) {
  int err = signal_may_send(p, signo);
  return err == 0 && signo != 0 ? signal_send_proc(p, signo, info) : err;
}

static int kill_one(int pid, int signo, const struct ksiginfo *info) {
  struct proc *p = proc_find(pid);
  if (!p)
    return -ESRCH;
  int err = send_checked(p, signo, info);
  proc_put(p);
  return err;
}

/* kill on several processes: success if one of them got it. */
static int kill_group(int pgid, int signo, const struct ksiginfo *info) {
  int err = -ESRCH;
  spin_lock(&proc_tree_lock);
  struct pgrp *g = pgrp_find(pgid);
  struct proc *p;
  if (g) {
    list_for_each(p, &g->members, pgrp_node) {
      int e = signal_may_send_locked(p, signo);
      if (e == 0 && signo != 0)
        e = signal_send_proc(p, signo, info);
      if (err != 0)
        err = e == 0 ? 0 : -EPERM;
    }
  }
  spin_unlock(&proc_tree_lock);
  return err;
}

struct broadcast {
  int signo;
  const struct ksiginfo *info;
  bool any, sent;
};

static void broadcast_one(struct proc *p, void *arg) {
  struct broadcast *b = arg;
  if (p->pid == 1 || p == proc_current())
    return;
  b->any = true;
  if (send_checked(p, b->signo, b->info) == 0)
    b->sent = true;
}

/* Everybody but µprocess 1 and the caller. */
static int kill_all(int signo, const struct ksiginfo *info) {
  struct broadcast b = {.signo = signo, .info = info};
  proc_for_each(broadcast_one, &b);
  return b.sent ? 0 : b.any ? -EPERM : -ESRCH;
}

i64 sys_kill(struct uregs *r) {
  int pid = (int)r->rdi, signo = (int)r->rsi;
  if (signo < 0 || signo >= NSIG)
    return -EINVAL;
  struct ksiginfo info = info_from_me(signo, SI_USER);
  if (pid > 0)
    return kill_one(pid, signo, &info);
  if (pid == INT32_MIN)
    return -ESRCH;
  if (pid == -1)
    return kill_all(signo, &info);
  return kill_group(pid == 0 ? proc_pgid(proc_current()) : -pid, signo, &info);
}

static int send_to_thread(int tgid, int tid, int signo, const struct ksiginfo *info) {
  if (tid <= 0 || signo < 0 || signo >= NSIG)
    return -EINVAL;
  struct thread *t = thread_find(tid);
  if (!t)
    return -ESRCH;
  int err = tgid > 0 && t->proc->pid != tgid ? -ESRCH : signal_may_send(t->proc, signo);
  if (err == 0 && signo != 0)
    err = signal_send_thread(t, signo, info);
  thread_put(t);
  return err;
}

i64 sys_tkill(struct uregs *r) {
  struct ksiginfo info = info_from_me((int)r->rsi, SI_TKILL);
  return send_to_thread(0, (int)r->rdi, (int)r->rsi, &info);
}

i64 sys_tgkill(struct uregs *r) {
  struct ksiginfo info = info_from_me((int)r->rdx, SI_TKILL);
  if ((int)r->rdi <= 0)
    return -EINVAL;
  return send_to_thread((int)r->rdi, (int)r->rsi, (int)r->rdx, &info);
}

int signal_info_from_user(u64 uaddr, int pid, struct ksiginfo *info) {
  struct {
    i32 signo, err, code, pad, pid;
    u32 uid;
    u64 value;
  } u;
  if (copy_from_user(&u, uaddr, sizeof u) < 0)
    return -EFAULT;
  if ((u.code >= 0 || u.code == SI_TKILL) && pid != proc_current()->pid)
    return -EPERM;
  *info = (struct ksiginfo){
      .signo = u.signo, .err = u.err, .code = u.code, .pid = u.pid, .uid = u.uid, .value = u.value};
  if (u.code == SI_TIMER) {
    info->timerid = u.pid;
    info->overrun = (int)u.uid;
  }
  return 0;
}

i64 sys_rt_sigqueueinfo(struct uregs *r) {
  struct ksiginfo info;
  int pid = (int)r->rdi, signo = (int)r->rsi;
  int err = signal_info_from_user(r->rdx, pid, &info);
  if (err < 0)
    return err;
  if (signo < 0 || signo >= NSIG)
    return -EINVAL;
  info.signo = signo;
  return kill_one(pid, signo, &info);
}

i64 sys_rt_tgsigqueueinfo(struct uregs *r) {
  struct ksiginfo info;
  int err = signal_info_from_user(r->r10, (int)r->rdi, &info);
  if (err < 0)
    return err;
  if ((int)r->rdi <= 0)
    return -EINVAL;
  info.signo = (int)r->rdx;
  return send_to_thread((int)r->rdi, (int)r->rsi, (int)r->rdx, &info);
}
