/* SPDX-License-Identifier: MIT */
/* clone, fork, vfork, clone3: a new thread, or a new process with a copy of this one. */
#include "kernel/fs/fdtable.h"
#include "kernel/mm/kmalloc.h"
#include "kernel/mm/space.h"
#include "kernel/mm/usercopy.h"
#include "kernel/proc/fork_time.h"
#include "kernel/proc/internal.h"
#include "kernel/signal/sig.h"
#include "kernel/syscall/entry.h"
#include "kernel/syscall/syscall.h"
#include "lib/string.h"

#define CSIGNAL 0xffUL
#define CLONE_VM 0x100UL
#define CLONE_FS 0x200UL
#define CLONE_FILES 0x400UL
#define CLONE_SIGHAND 0x800UL
#define CLONE_PIDFD 0x1000UL
#define CLONE_VFORK 0x4000UL
#define CLONE_PARENT 0x8000UL
#define CLONE_THREAD 0x10000UL
#define CLONE_SYSVSEM 0x40000UL
#define CLONE_SETTLS 0x80000UL
#define CLONE_PARENT_SETTID 0x100000UL
#define CLONE_CHILD_CLEARTID 0x200000UL
#define CLONE_DETACHED 0x400000UL
#define CLONE_UNTRACED 0x800000UL
#define CLONE_CHILD_SETTID 0x1000000UL
#define CLONE_IO 0x80000000UL
#define CLONE_SUPPORTED                                                                            \
  (CSIGNAL | CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_VFORK | CLONE_PARENT |      \
   CLONE_THREAD | CLONE_SYSVSEM | CLONE_SETTLS | CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID |      \
   CLONE_DETACHED | CLONE_UNTRACED | CLONE_CHILD_SETTID | CLONE_IO | CLONE_PIDFD)

static void child_entry(struct thread *t) {
  sched_thread_begin();
  region_begin(t->region);
  if (t->set_tid)
    user_store32(t->set_tid, (u32)t->tid); /* Linux ignores failure as well */
  user_return(t->uregs);
  plat_user_enter(t, t->uregs);
}

/* The child returns 0 from the same call, at its own base. */
static void child_registers(struct thread *t, const struct uregs *r, const struct clone_args *a) {
  struct thread *me = thread_current();
  *t->uregs = *r;
  t->uregs->rax = 0;
  t->uregs->orig_rax = (u64)-1;
  t->tcb_base = region_base(t->region);
  t->uregs->rsp = a->stack ? t->tcb_base + (u32)a->stack : r->rsp - me->tcb_base + t->tcb_base;
  t->tcb_tp = a->flags & CLONE_SETTLS ? a->tls : me->tcb_tp;
  t->set_tid = a->flags & CLONE_CHILD_SETTID ? a->ctid : 0;
  t->clear_tid = a->flags & CLONE_CHILD_CLEARTID ? a->ctid : 0;
  plat_fpu_copy(t);
}

static void child_signals(struct thread *t, const struct clone_args *a) {
  struct thread_sig *from = thread_current()->sig;
  t->sig->blocked = from->blocked;
  if (!(a->flags & CLONE_VM) || (a->flags & CLONE_VFORK))
    t->sig->alt = from->alt;
}

static int store_parent_tid(const struct clone_args *a, int tid) {
  if (!(a->flags & CLONE_PARENT_SETTID))
    return 0;
  return user_store32(a->ptid, (u32)tid);
}

/* ---- threads ---------------------------------------------------------------------------- */

static i64 clone_thread(const struct uregs *r, const struct clone_args *a) {
  struct thread *me = thread_current();
  struct proc *p = me->proc;
  fdtable_own(); /* what threads share is not lent */
  fs_context_own();
  struct thread *t = proc_thread_alloc(p, child_entry);
  if (!t)
    return -ENOMEM;
  t->region = me->region;
  child_registers(t, r, a);
  child_signals(t, a);
  str_copy(t->name, me->name, sizeof t->name);
  int tid = pid_alloc(PID_THREAD, t);
  if (tid < 0) {
    thread_put(t);
    return -EAGAIN;
  }
  t->tid = tid;
  store_parent_tid(a, tid);
  spin_lock(&p->lock);
  bool dying = p->exiting || p->exec_thread;
  if (!dying) {
    list_push_back(&p->threads, &t->proc_node);
    p->nthreads++;
    if (p->stopping)
      thread_set_work(t, WORK_SIGNAL);
  }
  spin_unlock(&p->lock);
  if (dying) {
    pid_clear(tid, PID_THREAD);
    thread_put(t);
    return -ERESTARTNOINTR;
  }
  __atomic_add_fetch(&proc_stats.threads, 1, __ATOMIC_RELAXED);
  sched_start(t, 0);
  return tid;
}

/* ---- processes -------------------------------------------------------------------------- */

static int copy_files(struct proc *c, struct proc *p, const struct clone_args *a) {
  if (a->flags & CLONE_FILES) {
    c->files = fdtable_own();
    fdtable_get(c->files);
  } else if (fdtable_fork(p->files, &c->files) < 0) {
    c->files = NULL;
    return -ENOMEM;
  }
  if (a->flags & CLONE_FS) {
    c->fs = fs_context_own();
    fs_context_get(c->fs);
  } else {
    c->fs = fs_context_fork(p->fs);
  }
  return c->fs ? 0 : -ENOMEM;
}

#define SYS_FUTEX 202

/* Does nobody hold an address in the memory, for which it would have to stay at its base? A futex
   call keeps offsets while it sleeps. Siblings are parked. */
static bool is_movable(struct proc *p) {
  struct thread *me = thread_current(), *t;
  bool all = __atomic_load_n(&p->space->refs, __ATOMIC_SEQ_CST) == 1;
  if (p->nthreads == 1 || !all)
    return all;
  spin_lock(&p->lock);
  list_for_each(t, &p->threads, proc_node) if (t != me) all =
      all && t->uregs->orig_rax == SYS_FUTEX && !t->at_edge &&
      __atomic_load_n(&t->state, __ATOMIC_SEQ_CST) == THREAD_SLEEPING &&
      !__atomic_load_n(&t->on_cpu, __ATOMIC_SEQ_CST);
  spin_unlock(&p->lock);
  return all;
}

/* Has the memory another base since? A sibling that was woken meanwhile is in the kernel. */
static void follow_base(struct proc *p) {
  struct thread *me = thread_current(), *t;
  u64 base = region_base(p->space->region), by = base - me->tcb_base;
  if (likely(by == 0))
    return;
  spin_lock(&p->lock);
  list_for_each(t, &p->threads, proc_node) {
    t->uregs->rsp += by;
    t->tcb_base = base;
    if (t != me)
      thread_set_work(t, WORK_MOVED);
  }
  spin_unlock(&p->lock);
  plat_region_activate(me);
}

/* Siblings stand still while the memory is copied. An alternate signal stack may lie on the main
   stack, above what is in use there. */
static int copy_space(struct proc *c, struct proc *p, u64 sp, const struct clone_args *a) {
  if (a->flags & CLONE_VM) {
    space_get(p->space);
    c->space = p->space;
    return 0;
  }
  bool park = p->nthreads > 1 || space_is_shared(p->space);
  if (park && !proc_park_siblings())
    return -ERESTARTNOINTR;
  const struct thread *me = thread_current();
  bool below_sp = sigaltstack_active(&me->sig->alt, (u32)(sp - me->tcb_base));
  int err = space_fork(p->space, sp, below_sp, is_movable(p), &c->space);
  follow_base(p);
  if (park)
    proc_unpark_siblings();
  return err;
}

static int copy_proc(struct proc *c, struct proc *p, const struct uregs *r,
                     const struct clone_args *a) {
  /* A sibling must not choose what its creator's parent gets. */
  c->exit_signal = a->flags & CLONE_PARENT ? p->exit_signal : (int)(a->flags & CSIGNAL);
  if (p->exe_path)
    c->exe_path = exe_path_get(p->exe_path);
  int err = copy_files(c, p, a);
  return err < 0 ? err : copy_space(c, p, r->rsp, a);
}

/* Undoes copy_proc for a child that nobody has seen. */
static void discard(struct proc *c) {
  if (c->files)
    fdtable_leave(c->files);
  if (c->fs)
    fs_context_leave(c->fs);
  if (c->space)
    space_put(c->space);
  proc_put(c);
  proc_put(c);
}

/* From here on others can see the child. -ERESTARTNOINTR: a signal to the group must be taken
   first, it would miss the child. */
static int enter_tree(struct proc *c, struct proc *p, bool as_sibling) {
  int err = 0;
  spin_lock(&proc_tree_lock);
  if (signal_pending()) {
    err = -ERESTARTNOINTR;
  } else {
    c->parent = as_sibling ? p->parent : p;
    c->ppid = c->parent->pid;
    list_push_back(&c->parent->children, &c->sibling_node);
    pgrp_join(c, p->pgrp);
  }
  spin_unlock(&proc_tree_lock);
  return err;
}

static __attribute__((noinline)) void wait_vfork(struct proc *c) {
  struct proc *p = proc_current();
  struct waiter w = {.thread = NULL};
  for (;;) {
    waitq_prepare(&c->vfork_wait, &w, THREAD_SLEEPING);
    if (!__atomic_load_n(&c->vfork_pending, __ATOMIC_SEQ_CST) || p->exiting || p->exec_thread ||
        signal_fatal_pending())
      break;
    schedule();
  }
  waitq_finish(&w);
}

static struct thread *first_thread(struct proc *c, const struct uregs *r,
                                   const struct clone_args *a) {
  struct thread *t = proc_thread_alloc(c, child_entry);
  if (!t)
    return NULL;
  t->region = c->space->region;
  child_registers(t, r, a);
  child_signals(t, a);
  __builtin_memcpy(t->name, thread_current()->name, sizeof t->name); /* two words, no call */
  return t;
}

static i64 start_child(struct proc *c, struct thread *t, const struct clone_args *a) {
  struct proc *p = proc_current();
  int pid = pid_alloc_proc(c, t);
  if (pid < 0)
    return -EAGAIN;
  c->pid = t->tid = pid;
  proc_thread_link(c, t);
  c->vfork_pending = a->flags & CLONE_VFORK;
  int err = enter_tree(c, p, a->flags & CLONE_PARENT);
  if (err < 0) {
    pid_clear(pid, PID_THREAD);
    pid_clear(pid, PID_PROC);
    list_remove(&t->proc_node);
    return err;
  }
  store_parent_tid(a, pid);
  if (unlikely(c->limits[RLIMIT_CPU].cur != RLIM_INFINITY ||
               c->limits[RLIMIT_CPU].max != RLIM_INFINITY)) {
    spin_lock(&c->lock);
    cpu_limit_start(c);
    spin_unlock(&c->lock);
  }
  if (!(a->flags & CLONE_VFORK)) {
    __atomic_add_fetch(&proc_stats.forks, 1, __ATOMIC_RELAXED);
    sched_start(t, WAKE_SYNC);
    return pid;
  }
  __atomic_add_fetch(&proc_stats.vforks, 1, __ATOMIC_RELAXED);
  proc_get(c);
  sched_start(t, WAKE_SYNC);
  wait_vfork(c);
  proc_put(c);
  return pid;
}

/* CLONE_PIDFD: the descriptor is the parent's, made before anybody can see the child. The fd, or
   -1: none asked for. */
static int child_pidfd(struct proc *c, const struct clone_args *a) {
  if (!(a->flags & CLONE_PIDFD))
    return -1;
  int fd = pidfd_install(c, 0);
  if (fd >= 0 && user_store32(a->pidfd, (u32)fd) < 0) {
    fd_close(fd);
    return -EFAULT;
  }
  return fd;
}

static i64 clone_proc(const struct uregs *r, const struct clone_args *a) {
  struct proc *p = proc_current();
  u64 start = plat_now_here();
  if (!proc_may_fork(p))
    return -EAGAIN;
  struct proc *c = proc_alloc(p, start);
  if (!c)
    return -ENOMEM;
  struct thread *t = NULL;
  i64 ret = copy_proc(c, p, r, a);
  if (ret < 0)
    goto fail;
  ret = -ENOMEM;
  t = first_thread(c, r, a);
  if (!t)
    goto fail;
  int fd = child_pidfd(c, a);
  ret = fd;
  if ((a->flags & CLONE_PIDFD) && fd < 0)
    goto fail_thread;
  ret = start_child(c, t, a);
  if (ret < 0)
    goto fail_pidfd;
  if (!(a->flags & CLONE_VFORK))
    fork_time_add(start, plat_now_here());
  return ret;

fail_pidfd:
  if (fd >= 0)
    fd_close(fd);
fail_thread:
  thread_put(t);
fail:
  discard(c);
  return ret;
}

static int check_flags(u64 f) {
  if (f & ~CLONE_SUPPORTED)
    return -EINVAL;
  if ((f & CLONE_SIGHAND) && !(f & CLONE_VM))
    return -EINVAL;
  if ((f & CLONE_THREAD) && !(f & CLONE_SIGHAND))
    return -EINVAL;
  if ((f & CLONE_SIGHAND) && !(f & CLONE_THREAD)) /* shared handlers between processes */
    return -EINVAL;
  if ((f & CLONE_THREAD) && (f & CLONE_VFORK))
    return -EINVAL;
  if ((f & CLONE_PIDFD) && (f & (CLONE_THREAD | CLONE_DETACHED)))
    return -EINVAL;
  if ((f & CLONE_PARENT) && proc_current()->pid == 1)
    return -EINVAL;
  return (f & CSIGNAL) < NSIG ? 0 : -EINVAL;
}

/* The flags have been checked. */
static inline i64 clone_checked(const struct uregs *r, const struct clone_args *a) {
  i64 (*clone)(const struct uregs *r, const struct clone_args *a) =
      a->flags & CLONE_THREAD ? clone_thread : clone_proc;
  i64 ret = clone(r, a);
  if (likely(ret != -ENOMEM))
    return ret;
  space_trim(); /* other CPUs may keep what is missing here */
  return clone(r, a);
}

i64 proc_clone(const struct uregs *r, const struct clone_args *a) {
  int err = check_flags(a->flags);
  return err < 0 ? err : clone_checked(r, a);
}

/* ---- system calls ------------------------------------------------------------------------ */

i64 sys_fork(struct uregs *r) { return clone_checked(r, &(struct clone_args){.flags = SIGCHLD}); }

i64 sys_vfork(struct uregs *r) {
  return proc_clone(r, &(struct clone_args){.flags = CLONE_VM | CLONE_VFORK | SIGCHLD});
}

i64 sys_clone(struct uregs *r) {
  struct clone_args a = {
      .flags = r->rdi & 0xffffffff,
      .stack = r->rsi,
      .ptid = r->rdx,
      .ctid = r->r10,
      .tls = r->r8,
      .pidfd = r->rdx,
  };
  if ((a.flags & CLONE_PIDFD) && (a.flags & CLONE_PARENT_SETTID))
    return -EINVAL; /* one pointer for both */
  return proc_clone(r, &a);
}

/* struct clone_args of Linux's clone3, first version. */
struct clone3_args {
  u64 flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls;
};

i64 sys_clone3(struct uregs *r) {
  struct clone3_args u;
  if (r->rsi < sizeof u)
    return -EINVAL;
  if (r->rsi > PAGE_SIZE)
    return -E2BIG;
  if (copy_from_user(&u, r->rdi, sizeof u) < 0)
    return -EFAULT;
  for (u64 at = sizeof u; at < r->rsi; at++) { /* newer fields must be unused */
    u8 b;
    if (copy_from_user(&b, r->rdi + at, 1) < 0)
      return -EFAULT;
    if (b)
      return -E2BIG;
  }
  if ((u.flags & (CSIGNAL | CLONE_DETACHED)) || u.exit_signal >= NSIG || !u.stack != !u.stack_size)
    return -EINVAL;
  struct clone_args a = {
      .flags = u.flags | u.exit_signal,
      .stack = u.stack + u.stack_size,
      .ptid = u.parent_tid,
      .ctid = u.child_tid,
      .tls = u.tls,
      .pidfd = u.pidfd,
  };
  return proc_clone(r, &a);
}
