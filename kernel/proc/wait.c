/* SPDX-License-Identifier: MIT */
/* wait4 and waitid: what children report, zombies reaped, stops and continuations. */
#include "kernel/mm/usercopy.h"
#include "kernel/proc/internal.h"
#include "kernel/proc/rusage.h"
#include "kernel/signal/sig.h"
#include "kernel/syscall/syscall.h"
#include "lib/string.h"

#define WNOHANG 1u
#define WUNTRACED 2u
#define WEXITED 4u
#define WCONTINUED 8u
#define WNOWAIT 0x01000000u
#define WNOTHREAD 0x20000000u
#define WALL 0x40000000u
#define WCLONE 0x80000000u

enum wait_kind { WAIT_ANY, WAIT_PID, WAIT_PGRP };

struct request {
  enum wait_kind kind;
  int id;
  struct proc *proc; /* WAIT_PID: this one (a pidfd), whoever has its id now; else NULL */
  bool again;        /* nothing to report is -EAGAIN */
  bool usage;        /* resources used are asked for as well */
  u32 options;       /* WEXITED, WUNTRACED (= WSTOPPED), WCONTINUED... */
};

/* What a child had to report. */
struct report {
  int pid;
  u32 uid;
  int code;   /* CLD_* */
  int status; /* as si_status */
  int wait_status;
  struct rusage ru; /* if asked for */
};

static bool matches(const struct request *q, struct proc *c) {
  if (q->kind == WAIT_PGRP && (!c->pgrp || c->pgrp->pgid != q->id))
    return false;
  if (q->options & WALL)
    return true;
  return (c->exit_signal != SIGCHLD) == !!(q->options & WCLONE);
}

static void fill(struct report *rep, const struct request *q, struct proc *c, int code, int status,
                 int wait_status) {
  rep->pid = c->pid;
  rep->uid = c->cred.uid;
  rep->code = code;
  rep->status = status;
  rep->wait_status = wait_status;
  if (q->usage)
    rusage_of(c, &rep->ru);
}

/* The dead child's times and memory become the parent's (children's). */
static void inherit_usage(struct proc *p, struct proc *c) {
  struct cpu_times t = proc_cpu_times(c);
  spin_lock(&p->lock);
  p->child_utime += t.user + c->child_utime;
  p->child_stime += t.system + c->child_stime;
  p->child_max_pages = (u32)max_u64(p->child_max_pages, max_u64(c->max_pages, c->child_max_pages));
  spin_unlock(&p->lock);
}

/* Takes c's report if it has one that is asked for. proc_tree_lock held. *reaped: unlinked. */
static bool take_report(struct proc *p, struct proc *c, const struct request *q, struct report *rep,
                        struct proc **reaped) {
  bool keep = q->options & WNOWAIT;
  if (c->state == PROC_ZOMBIE && (q->options & WEXITED)) {
    int s = c->exit_status;
    int sig = s & 0x7f;
    fill(rep, q, c, sig == 0 ? CLD_EXITED : CLD_KILLED, sig == 0 ? (s >> 8) & 0xff : sig, s);
    if (!keep) {
      inherit_usage(p, c);
      proc_unlink(c);
      *reaped = c;
    }
    return true;
  }
  if (c->state == PROC_STOPPED && c->stop_unreported && (q->options & WUNTRACED)) {
    fill(rep, q, c, CLD_STOPPED, c->stop_signal, c->stop_signal << 8 | 0x7f);
    c->stop_unreported = keep;
    proc_sort_child(c);
    return true;
  }
  if (c->continue_unreported && (q->options & WCONTINUED)) {
    fill(rep, q, c, CLD_CONTINUED, SIGCONT, 0xffff);
    c->continue_unreported = keep;
    proc_sort_child(c);
    return true;
  }
  return false;
}

/* The child asked for, without a walk through the others. proc_tree_lock held. */
static struct proc *named_child(struct proc *p, const struct request *q) {
  spin_lock(&pids_lock);
  struct proc *c = q->proc ? q->proc : pid_get(q->id, PID_PROC);
  bool mine = c && c->parent == p && c->state != PROC_REAPED;
  spin_unlock(&pids_lock);
  return mine ? c : NULL;
}

static inline int look_at_one(struct proc *p, const struct request *q, struct report *rep,
                              struct proc **reaped) {
  struct proc *c = named_child(p, q);
  if (!c || !matches(q, c))
    return -ECHILD;
  return proc_has_report(c) ? take_report(p, c, q, rep, reaped) : 0;
}

static __attribute__((noinline)) int look_at_all(struct proc *p, const struct request *q,
                                                 struct report *rep, struct proc **reaped) {
  struct proc *c;
  int ret = -ECHILD;
  list_for_each(c, &p->children, sibling_node) {
    if (matches(q, c))
      ret = take_report(p, c, q, rep, reaped);
    if (ret > 0 || (ret == 0 && !proc_has_report(c)))
      break;
  }
  return ret;
}

/* 1: *rep is filled; 0: nothing yet; -ECHILD. */
static int look(struct proc *p, const struct request *q, struct report *rep, struct proc **reaped) {
  spin_lock(&proc_tree_lock);
  int ret = q->kind == WAIT_PID ? look_at_one(p, q, rep, reaped) : look_at_all(p, q, rep, reaped);
  spin_unlock(&proc_tree_lock);
  return ret;
}

/* The pid reported, 0 (WNOHANG) or -errno. */
static i64 wait_for_child(const struct request *q, struct report *rep) {
  struct proc *p = proc_current();
  struct waiter w = {.leaves = true};
  struct proc *reaped = NULL;
  i64 ret;
  for (;;) {
    waitq_prepare(&p->child_wait, &w, THREAD_SLEEPING);
    ret = look(p, q, rep, &reaped);
    if (ret != 0 || (q->options & WNOHANG))
      break;
    if (signal_pending()) {
      ret = -ERESTARTSYS;
      break;
    }
    schedule();
    ret = look(p, q, rep, &reaped);
    if (ret != 0) /* usually so: spares another round */
      break;
  }
  waitq_finish(&w);
  if (reaped)
    proc_reaped(reaped);
  return ret > 0 ? rep->pid : ret;
}

void proc_reap_zombies(struct proc *p) {
  struct request q = {.kind = WAIT_ANY, .options = WEXITED | WALL};
  struct report rep;
  struct proc *c = NULL;
  while (look(p, &q, &rep, &c) > 0) {
    proc_reaped(c);
    c = NULL;
  }
}

i64 sys_wait4(struct uregs *r) {
  int pid = (int)r->rdi;
  u32 options = (u32)r->rdx;
  struct request q = {.kind = WAIT_ANY, .options = options | WEXITED, .usage = r->r10};
  struct report rep;
  if (options & ~(WNOHANG | WUNTRACED | WCONTINUED | WNOTHREAD | WALL | WCLONE))
    return -EINVAL;
  if (pid == INT32_MIN)
    return -ESRCH;
  if (pid > 0) {
    q.kind = WAIT_PID;
    q.id = pid;
  } else if (pid != -1) {
    q.kind = WAIT_PGRP;
    q.id = pid == 0 ? proc_pgid(proc_current()) : -pid;
  }
  i64 ret = wait_for_child(&q, &rep);
  if (ret <= 0)
    return ret;
  if (r->rsi && user_put(r->rsi, &rep.wait_status, sizeof rep.wait_status) < 0)
    return -EFAULT;
  if (r->r10 && copy_to_user(r->r10, &rep.ru, sizeof rep.ru) < 0)
    return -EFAULT;
  return ret;
}

/* From a pidfd; the reference on the process is the caller's to drop. */
static int pidfd_request(struct request *q, int fd) {
  bool nonblock;
  if (fd < 0)
    return -EINVAL;
  q->proc = pidfd_proc(fd, &nonblock);
  if (!q->proc)
    return -EBADF;
  q->kind = WAIT_PID;
  q->again = nonblock && !(q->options & WNOHANG);
  if (q->again)
    q->options |= WNOHANG;
  return 0;
}

static int waitid_request(struct request *q, int type, int id, u32 options) {
  if (options & ~(WNOHANG | WUNTRACED | WEXITED | WCONTINUED | WNOWAIT | WNOTHREAD | WALL | WCLONE))
    return -EINVAL;
  if (!(options & (WUNTRACED | WEXITED | WCONTINUED)))
    return -EINVAL;
  *q = (struct request){.options = options, .id = id};
  switch (type) {
  case 0:
    q->kind = WAIT_ANY;
    return 0;
  case 1:
    q->kind = WAIT_PID;
    return id > 0 ? 0 : -EINVAL;
  case 2:
    q->kind = WAIT_PGRP;
    if (id == 0)
      q->id = proc_pgid(proc_current());
    return id >= 0 ? 0 : -EINVAL;
  case 3:
    return pidfd_request(q, id);
  default:
    return -EINVAL;
  }
}

i64 sys_waitid(struct uregs *r) {
  struct request q;
  struct report rep;
  int err = waitid_request(&q, (int)r->rdi, (int)r->rsi, (u32)r->r10);
  if (err < 0)
    return err;
  q.usage = r->r8;
  i64 ret = wait_for_child(&q, &rep);
  if (q.proc)
    proc_put(q.proc);
  if (ret == 0 && q.again)
    return -EAGAIN;
  if (ret < 0)
    return ret;
  if (r->rdx) {
    u8 raw[128] = {0};
    struct ksiginfo info = {
        .signo = SIGCHLD, .code = rep.code, .pid = rep.pid, .uid = rep.uid, .status = rep.status};
    if (ret > 0)
      siginfo_encode(&info, raw);
    if (copy_to_user(r->rdx, raw, sizeof raw) < 0)
      return -EFAULT;
  }
  if (ret > 0 && r->r8 && copy_to_user(r->r8, &rep.ru, sizeof rep.ru) < 0)
    return -EFAULT;
  return 0;
}
