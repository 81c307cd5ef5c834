/* SPDX-License-Identifier: MIT */
/* Descriptors as such: dup, close, flags, ioctl. */
#include "kernel/fs/async.h"
#include "kernel/fs/fdtable.h"
#include "kernel/fs/flock.h"
#include "kernel/fs/tmpfs.h"
#include "kernel/fs/vfs.h"
#include "kernel/ipc/pipe.h"
#include "kernel/syscall/syscall.h"

#define F_DUPFD 0
#define F_GETFD 1
#define F_SETFD 2
#define F_GETFL 3
#define F_SETFL 4
#define F_GETLK 5
#define F_SETLKW 7
#define F_SETOWN 8
#define F_GETOWN 9
#define F_OFD_GETLK 36
#define F_OFD_SETLKW 38
#define F_DUPFD_CLOEXEC 1030
#define F_SETPIPE_SZ 1031
#define F_GETPIPE_SZ 1032
#define F_ADD_SEALS 1033
#define F_GET_SEALS 1034
#define FD_CLOEXEC 1

#define O_DIRECT 040000
#define O_NOATIME 01000000
#define SETTABLE (O_APPEND | O_NONBLOCK | O_DIRECT | O_NOATIME)

#define FIOCLEX 0x5451
#define FIONCLEX 0x5450
#define FIONBIO 0x5421
#define FIOASYNC 0x5452

i64 sys_close(struct uregs *r) { return fd_close((int)r->rdi); }

static i64 duplicate(int fd, u32 flags, int from) {
  struct file *f = fd_get_path(fd);
  int e;
  if (!f)
    return -EBADF;
  e = fd_install(f, flags, from);
  if (e < 0)
    file_put(f);
  return e;
}

static i64 duplicate_to(int fd, int to, u32 flags) {
  struct file *f = fd_get_path(fd);
  int e;
  if (!f)
    return -EBADF;
  e = fd_install_at(f, flags, to);
  if (e < 0)
    file_put(f);
  return e;
}

i64 sys_dup(struct uregs *r) { return duplicate((int)r->rdi, 0, 0); }

i64 sys_dup2(struct uregs *r) {
  int fd = (int)r->rdi, to = (int)r->rsi;
  if (fd == to) {
    struct file *f = fd_get_path(fd);
    file_put(f);
    return f ? fd : -EBADF;
  }
  return duplicate_to(fd, to, 0);
}

i64 sys_dup3(struct uregs *r) {
  if ((r->rdx & ~(u64)O_CLOEXEC) || (int)r->rdi == (int)r->rsi)
    return -EINVAL;
  return duplicate_to((int)r->rdi, (int)r->rsi, (u32)r->rdx);
}

static int set_cloexec(int fd, bool on) {
  struct fdtable *t = fdtable_own();
  int e = -EBADF;
  spin_lock(&t->lend.lock);
  if ((u32)fd < t->end && fd_slot_file(t->slots[fd])) {
    t->slots[fd] = (t->slots[fd] & ~FD_CLOEXEC_BIT) | (on ? FD_CLOEXEC_BIT : 0);
    e = 0;
  }
  spin_unlock(&t->lend.lock);
  return e;
}

static int get_cloexec(int fd) {
  bool cloexec = false;
  struct file *f = fdtable_file(proc_current()->files, fd, &cloexec);
  if (!f)
    return -EBADF;
  file_put(f);
  return cloexec ? FD_CLOEXEC : 0;
}

#define CLOSE_RANGE_UNSHARE 2
#define CLOSE_RANGE_CLOEXEC 4

i64 sys_close_range(struct uregs *r) {
  u32 first = (u32)r->rdi, last = (u32)r->rsi, flags = (u32)r->rdx;
  struct fdtable *t = fdtable_own();
  if (first > last || (flags & ~(u32)(CLOSE_RANGE_UNSHARE | CLOSE_RANGE_CLOEXEC)))
    return -EINVAL;
  if ((flags & CLOSE_RANGE_UNSHARE) && !lend_is_alone(&t->lend))
    return -EINVAL; /* the table would have to be unshared first */
  for (int fd = (int)min_u64(first, FD_TABLE_MAX);
       (fd = fdtable_next(t, fd)) >= 0 && (u32)fd <= last; fd++) {
    if (flags & CLOSE_RANGE_CLOEXEC)
      set_cloexec(fd, true);
    else
      fd_close(fd);
  }
  return 0;
}

/* Replaces the settable flags. */
static int file_set_flags(struct file *f, u32 flags) {
  u32 old = __atomic_load_n(&f->flags, __ATOMIC_RELAXED), now;
  do {
    now = (old & ~(u32)SETTABLE) | (flags & SETTABLE);
  } while (
      !__atomic_compare_exchange_n(&f->flags, &old, now, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
  return f->ops->set_flags ? f->ops->set_flags(f, now) : 0;
}

/* F_SETFL. O_ASYNC stays off, silently, where nothing can be waited for. */
static int set_status(struct file *f, u32 flags) {
  if ((flags ^ f->flags) & O_ASYNC) {
    int err = async_switch(f, flags & O_ASYNC);
    if (err && err != -ENOTTY)
      return err;
  }
  return file_set_flags(f, flags);
}

static i64 fcntl_file(struct file *f, u32 cmd, u64 arg) {
  switch (cmd) {
  case F_GETFL:
    return f->flags;
  case F_SETFL:
    return set_status(f, (u32)arg);
  case F_SETPIPE_SZ:
    return pipe_set_capacity(f, arg);
  case F_GETPIPE_SZ:
    return pipe_capacity(f);
  case F_ADD_SEALS:
    return tmp_add_seals(f, arg);
  case F_GET_SEALS:
    return tmp_get_seals(f);
  case F_GETOWN:
    return async_owner(f);
  case F_SETOWN:
    return async_set_owner(f, (int)arg);
  default:
    if ((cmd >= F_GETLK && cmd <= F_SETLKW) || (cmd >= F_OFD_GETLK && cmd <= F_OFD_SETLKW))
      return flock_fcntl(f, cmd, arg);
    return -EINVAL;
  }
}

static bool allowed_on_path(u32 cmd) { return cmd == F_GETFL; }

i64 sys_fcntl(struct uregs *r) {
  int fd = (int)r->rdi;
  u32 cmd = (u32)r->rsi;
  struct file *f;
  i64 e;
  switch (cmd) {
  case F_DUPFD:
  case F_DUPFD_CLOEXEC:
    if ((int)r->rdx < 0 || r->rdx >= proc_current()->limits[RLIMIT_NOFILE].cur)
      return get_cloexec(fd) < 0 ? -EBADF : -EINVAL;
    return duplicate(fd, cmd == F_DUPFD_CLOEXEC ? O_CLOEXEC : 0, (int)r->rdx);
  case F_GETFD:
    return get_cloexec(fd);
  case F_SETFD:
    return set_cloexec(fd, r->rdx & FD_CLOEXEC);
  }
  f = allowed_on_path(cmd) ? fd_get_path(fd) : fd_get(fd);
  if (!f)
    return -EBADF;
  e = fcntl_file(f, cmd, r->rdx);
  file_put(f);
  return e;
}

static i64 ioctl_nonblock(struct file *f, u64 arg) {
  u32 on, flags = f->flags;
  if (user_load32(arg, &on) < 0)
    return -EFAULT;
  return file_set_flags(f, on ? flags | O_NONBLOCK : flags & ~(u32)O_NONBLOCK);
}

static i64 ioctl_async(struct file *f, u64 arg) {
  u32 on;
  return user_load32(arg, &on) < 0 ? -EFAULT : async_switch(f, on != 0);
}

i64 sys_ioctl(struct uregs *r) {
  int fd = (int)r->rdi;
  u32 cmd = (u32)r->rsi;
  struct file *f;
  i64 e;
  if (cmd == FIOCLEX || cmd == FIONCLEX)
    return set_cloexec(fd, cmd == FIOCLEX);
  f = fd_get(fd);
  if (!f)
    return -EBADF;
  if (cmd == FIONBIO)
    e = ioctl_nonblock(f, r->rdx);
  else if (cmd == FIOASYNC)
    e = ioctl_async(f, r->rdx);
  else
    e = f->ops->ioctl ? f->ops->ioctl(f, cmd, r->rdx) : -ENOTTY;
  file_put(f);
  return e;
}
