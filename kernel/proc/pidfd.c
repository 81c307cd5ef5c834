/* SPDX-License-Identifier: MIT */
/*
 * pidfd: a process as a descriptor. It keeps the process's structure, not its id: once the process
 * is reaped the id may be another's, and every call on the descriptor is -ESRCH.
 */
#include "kernel/fs/fdtable.h"
#include "kernel/fs/vfs.h"
#include "kernel/mm/usercopy.h"
#include "kernel/proc/internal.h"
#include "kernel/signal/sig.h"
#include "kernel/syscall/syscall.h"

static enum proc_state state_of(struct proc *p) {
  spin_lock(&proc_tree_lock);
  enum proc_state s = p->state;
  spin_unlock(&proc_tree_lock);
  return s;
}

static u32 pidfd_poll(struct file *f, struct poller *p) {
  struct proc *target = f->priv;
  poll_wait(p, &target->end_wait);
  switch (state_of(target)) {
  case PROC_ZOMBIE:
    return POLLIN | POLLRDNORM;
  case PROC_REAPED:
    return POLLIN | POLLRDNORM | POLLHUP;
  default:
    return 0;
  }
}

static int pidfd_stat(struct file *f, struct kstat *st) {
  (void)f;
  anon_stat(st, 1, 0600);
  return 0;
}

static void pidfd_release(struct file *f) { proc_put(f->priv); }

static const struct file_ops pidfd_ops = {
    .name = "anon_inode:[pidfd]",
    .poll = pidfd_poll,
    .stat = pidfd_stat,
    .release = pidfd_release,
};

int pidfd_install(struct proc *p, u32 flags) {
  struct file *f = file_alloc(&pidfd_ops, O_RDWR | (flags & O_NONBLOCK), p);
  if (!f)
    return -ENOMEM;
  proc_get(p);
  int fd = fd_install(f, O_CLOEXEC, 0);
  if (fd < 0)
    file_put(f);
  return fd;
}

struct proc *pidfd_proc(int fd, bool *nonblock) {
  struct file *f = fd_get(fd);
  struct proc *p = NULL;
  if (f && f->ops == &pidfd_ops) {
    p = f->priv;
    proc_get(p);
    *nonblock = f->flags & O_NONBLOCK;
  }
  file_put(f);
  return p;
}

/* ---- system calls ------------------------------------------------------------------------- */

i64 sys_pidfd_open(struct uregs *r) {
  int pid = (int)r->rdi;
  if (((u32)r->rsi & ~(u32)O_NONBLOCK) || pid <= 0)
    return -EINVAL;
  struct proc *p = proc_find(pid);
  if (!p) {
    struct thread *t = thread_find(pid);
    if (!t)
      return -ESRCH;
    thread_put(t);
    return -ENOENT; /* a thread that does not lead its process */
  }
  int fd = pidfd_install(p, (u32)r->rsi);
  proc_put(p);
  return fd;
}

static int send(struct proc *p, int signo, u64 uaddr) {
  struct proc *me = proc_current();
  struct ksiginfo info = {.signo = signo, .code = SI_USER, .pid = me->pid, .uid = me->cred.uid};
  if (uaddr) {
    int err = signal_info_from_user(uaddr, p->pid, &info);
    if (err < 0)
      return err;
    if (info.signo != signo)
      return -EINVAL;
  }
  if (signo < 0 || signo >= NSIG)
    return -EINVAL;
  if (state_of(p) == PROC_REAPED)
    return -ESRCH;
  int err = signal_may_send(p, signo);
  return err == 0 && signo != 0 ? signal_send_proc(p, signo, &info) : err;
}

i64 sys_pidfd_send_signal(struct uregs *r) {
  bool nonblock;
  if ((u32)r->r10 != 0)
    return -EINVAL;
  struct proc *p = pidfd_proc((int)r->rdi, &nonblock);
  if (!p)
    return -EBADF;
  int err = send(p, (int)r->rsi, r->rdx);
  proc_put(p);
  return err;
}

/* As Linux asks of a debugger: the target is the caller's in every id, or the caller is root. */
static bool may_take_from(struct proc *p) {
  spin_lock(&p->lock);
  struct cred to = p->cred;
  spin_unlock(&p->lock);
  const struct cred *c = &proc_current()->cred;
  return p == proc_current() || c->euid == 0 ||
         (c->uid == to.uid && c->uid == to.euid && c->uid == to.suid && c->gid == to.gid &&
          c->gid == to.egid && c->gid == to.sgid);
}

/* Exit takes the table away under the lock; a reference keeps it for the look. */
static struct file *file_of(struct proc *p, int fd, int *err) {
  spin_lock(&p->lock);
  struct fdtable *t = p->files;
  if (t)
    fdtable_get(t);
  spin_unlock(&p->lock);
  *err = -ESRCH;
  if (!t)
    return NULL;
  *err = -EBADF;
  struct file *f = fdtable_file(t, fd, NULL);
  fdtable_put(t);
  return f;
}

i64 sys_pidfd_getfd(struct uregs *r) {
  bool nonblock;
  int err = -EPERM;
  if ((u32)r->rdx != 0)
    return -EINVAL;
  struct proc *p = pidfd_proc((int)r->rdi, &nonblock);
  if (!p)
    return -EBADF;
  struct file *f = may_take_from(p) ? file_of(p, (int)r->rsi, &err) : NULL;
  proc_put(p);
  if (!f)
    return err;
  int fd = fd_install(f, O_CLOEXEC, 0);
  if (fd < 0)
    file_put(f);
  return fd;
}
