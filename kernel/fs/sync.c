/* SPDX-License-Identifier: MIT */
/* Durability and hints about it. */
#include "kernel/fs/fdtable.h"
#include "kernel/fs/vfs.h"
#include "kernel/syscall/syscall.h"

static i64 sync_file(int fd, bool data_only) {
  struct fdref d = fd_borrow(fd);
  i64 e;
  if (!d.f)
    return -EBADF;
  if (d.f->ops->sync)
    e = d.f->ops->sync(d.f, data_only);
  else
    e = d.f->inode && (S_ISREG(d.f->inode->mode) || S_ISDIR(d.f->inode->mode)) ? 0 : -EINVAL;
  fd_return(d);
  return e;
}

i64 sys_fsync(struct uregs *r) { return sync_file((int)r->rdi, false); }
i64 sys_fdatasync(struct uregs *r) { return sync_file((int)r->rdi, true); }

enum { SYNC_RANGE_FLAGS = 7 }; /* WAIT_BEFORE, WRITE, WAIT_AFTER */

static i64 sync_range(struct file *f, i64 off, i64 n, u32 flags) {
  if (flags & ~(u32)SYNC_RANGE_FLAGS || off < 0 || n < 0 || (i64)((u64)off + (u64)n) < 0)
    return -EINVAL;
  u32 mode = f->inode ? f->inode->mode : 0;
  if (!S_ISREG(mode) && !S_ISDIR(mode) && !S_ISBLK(mode))
    return -ESPIPE;
  if (flags == 0)
    return 0;
  if (f->ops->sync_range)
    return f->ops->sync_range(f, (u64)off, (u64)n, flags);
  return f->ops->sync ? f->ops->sync(f, true) : 0;
}

i64 sys_sync_file_range(struct uregs *r) {
  struct fdref d = fd_borrow((int)r->rdi);
  if (!d.f)
    return -EBADF;
  i64 e = sync_range(d.f, (i64)r->rsi, (i64)r->rdx, (u32)r->r10);
  fd_return(d);
  return e;
}

/* Host files are as durable as the host makes them without being asked. */
i64 sys_sync(struct uregs *r) {
  (void)r;
  return 0;
}

i64 sys_fadvise64(struct uregs *r) {
  struct file *f = fd_get((int)r->rdi);
  i64 e = 0;
  if (!f)
    return -EBADF;
  if (!f->ops->seek)
    e = -ESPIPE;
  else if ((i64)r->rdx < 0 || r->r10 > 5)
    e = -EINVAL;
  file_put(f);
  return e;
}

i64 sys_readahead(struct uregs *r) {
  struct file *f = fd_get((int)r->rdi);
  i64 e;
  if (!f)
    return -EBADF;
  e = f->inode && S_ISREG(f->inode->mode) ? 0 : -EINVAL;
  file_put(f);
  return e;
}
