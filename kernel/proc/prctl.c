/* SPDX-License-Identifier: MIT */
/* Attributes of the running thread and process. */
#include "kernel/mm/usercopy.h"
#include "kernel/proc/internal.h"
#include "kernel/signal/sig.h"
#include "kernel/syscall/syscall.h"
#include "lib/string.h"

#define PR_SET_PDEATHSIG 1
#define PR_GET_PDEATHSIG 2
#define PR_GET_DUMPABLE 3
#define PR_SET_DUMPABLE 4
#define PR_GET_KEEPCAPS 7
#define PR_SET_KEEPCAPS 8
#define PR_SET_NAME 15
#define PR_GET_NAME 16
#define PR_SET_TIMERSLACK 29
#define PR_GET_TIMERSLACK 30
#define PR_SET_CHILD_SUBREAPER 36
#define PR_GET_CHILD_SUBREAPER 37
#define PR_SET_NO_NEW_PRIVS 38
#define PR_GET_NO_NEW_PRIVS 39

#define TIMER_SLACK_NS 50000

static i64 set_name(u64 uaddr) {
  struct thread *t = thread_current();
  char name[sizeof t->name];
  i64 n = copy_string_from_user(name, uaddr, sizeof name);
  if (n == -ENAMETOOLONG) /* cut */
    n = copy_from_user(name, uaddr, sizeof name);
  if (n < 0)
    return n;
  name[sizeof name - 1] = 0;
  str_copy(t->name, name, sizeof t->name);
  if (t->tid == t->proc->pid)
    str_copy(t->proc->comm, name, sizeof t->proc->comm);
  return 0;
}

static i64 set_pdeath_signal(struct proc *p, u64 signo) {
  if (signo >= NSIG)
    return -EINVAL;
  p->pdeath_signal = (int)signo;
  return 0;
}

static i64 put_int(u64 uaddr, i32 v) { return copy_to_user(uaddr, &v, sizeof v); }

i64 sys_prctl(struct uregs *r) {
  struct thread *t = thread_current();
  struct proc *p = t->proc;
  switch ((int)r->rdi) {
  case PR_SET_NAME:
    return set_name(r->rsi);
  case PR_GET_NAME:
    return copy_to_user(r->rsi, t->name, sizeof t->name);
  case PR_SET_PDEATHSIG:
    return set_pdeath_signal(p, r->rsi);
  case PR_GET_PDEATHSIG:
    return put_int(r->rsi, p->pdeath_signal);
  case PR_SET_CHILD_SUBREAPER:
    p->subreaper = r->rsi != 0;
    return 0;
  case PR_GET_CHILD_SUBREAPER:
    return put_int(r->rsi, p->subreaper);
  case PR_GET_DUMPABLE:
    return 1;
  case PR_SET_DUMPABLE:
  case PR_SET_KEEPCAPS:
    return r->rsi <= 1 ? 0 : -EINVAL;
  case PR_GET_KEEPCAPS:
    return 0;
  case PR_SET_NO_NEW_PRIVS: /* set-user-ID bits never count here */
    return r->rsi == 1 ? 0 : -EINVAL;
  case PR_GET_NO_NEW_PRIVS:
    return 1;
  case PR_SET_TIMERSLACK:
    return 0;
  case PR_GET_TIMERSLACK:
    return TIMER_SLACK_NS;
  default:
    return -EINVAL;
  }
}

#define ARCH_SET_FS 0x1002
#define ARCH_GET_FS 0x1003

i64 sys_arch_prctl(struct uregs *r) {
  struct thread *t = thread_current();
  switch ((int)r->rdi) {
  case ARCH_SET_FS: /* any value is harmless: accesses through it are truncated */
    t->tcb_tp = r->rsi;
    return 0;
  case ARCH_GET_FS:
    return copy_to_user(r->rsi, &t->tcb_tp, sizeof t->tcb_tp);
  default:
    return -EINVAL;
  }
}

#define PERSONALITY_QUERY 0xffffffff
#define PER_LINUX 0
#define ADDR_NO_RANDOMIZE 0x40000

i64 sys_personality(struct uregs *r) {
  struct proc *p = proc_current();
  u32 old = p->personality, want = (u32)r->rdi;
  if (want == PERSONALITY_QUERY)
    return old;
  if (want & ~(PER_LINUX | ADDR_NO_RANDOMIZE))
    return -EINVAL;
  p->personality = want;
  return old;
}

i64 sys_reboot(struct uregs *r) {
  (void)r;
  return -EPERM;
}

/* ---- capabilities: uid 0 has them all, others none ----------------------------------------- */

#define CAP_VERSION_3 0x20080522u

struct cap_header {
  u32 version;
  i32 pid;
};
struct cap_data {
  u32 effective, permitted, inheritable;
};

i64 sys_capget(struct uregs *r) {
  struct cap_header h;
  if (copy_from_user(&h, r->rdi, sizeof h) < 0)
    return -EFAULT;
  if (h.version != CAP_VERSION_3) {
    h.version = CAP_VERSION_3;
    return copy_to_user(r->rdi, &h, sizeof h) < 0 ? -EFAULT : -EINVAL;
  }
  if (r->rsi == 0)
    return 0;
  u32 all = cred_is_root() ? ~0u : 0;
  struct cap_data d[2] = {{all, all, 0}, {all, all, 0}};
  return copy_to_user(r->rsi, d, sizeof d);
}

/* Dropping capabilities is accepted without effect; nobody gains any. */
i64 sys_capset(struct uregs *r) {
  struct cap_header h;
  if (copy_from_user(&h, r->rdi, sizeof h) < 0)
    return -EFAULT;
  if (h.version != CAP_VERSION_3)
    return -EINVAL;
  return cred_is_root() ? 0 : -EPERM;
}
