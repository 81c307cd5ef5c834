/* SPDX-License-Identifier: MIT */
/* System calls that transfer data or move the position. */
#include "kernel/fs/fdtable.h"
#include "kernel/fs/vfs.h"
#include "kernel/syscall/syscall.h"

#define RWF_SUPPORTED 0x0f /* HIPRI, DSYNC, SYNC, NOWAIT: hints that we may ignore */

typedef i64 (*transfer)(struct file *f, struct uio *u);
typedef i64 (*transfer_at)(struct file *f, struct uio *u, u64 *pos);

static i64 sequential(struct file *f, struct uregs *r, transfer go) {
  struct uio u;
  i64 n = uio_init_user(&u, r->rsi, r->rdx);
  if (n == 0) {
    n = go(f, &u);
    uio_destroy(&u);
  }
  return n;
}

/* Transfers of any file, with a reference or without. */
static __attribute__((noinline)) i64 read_or_write(struct uregs *r, transfer go) {
  struct fdref d = fd_borrow((int)r->rdi);
  if (!d.f)
    return -EBADF;
  i64 n = sequential(d.f, r, go);
  fd_return(d);
  return n;
}

/* Not empty, and in the region. */
static inline bool is_range(u64 uaddr, u64 n) {
  const u64 size = UF_REGION_SIZE - UF_DATA_LO;
  return n - 1 < size && uaddr - UF_DATA_LO <= size - n;
}

/* What streams have a short way for; nothing is kept over the call. */
i64 sys_read(struct uregs *r) {
  struct file *f = fd_borrow_only((int)r->rdi);
  if (likely(f && f->ops->read_user && is_range(r->rsi, r->rdx) && !(f->flags & O_WRONLY)))
    return f->ops->read_user(f, r->rsi, r->rdx);
  return read_or_write(r, file_read);
}

i64 sys_write(struct uregs *r) {
  struct file *f = fd_borrow_only((int)r->rdi);
  if (likely(f && f->ops->write_user && is_range(r->rsi, r->rdx) &&
             (f->flags & (O_WRONLY | O_RDWR))))
    return f->ops->write_user(f, r->rsi, r->rdx);
  return read_or_write(r, file_write);
}

static i64 sequential_vector(struct uregs *r, transfer go) {
  struct fdref d = fd_borrow((int)r->rdi);
  struct uio u;
  i64 n;
  if (!d.f)
    return -EBADF;
  n = uio_init_iovec(&u, r->rsi, r->rdx);
  if (n == 0) {
    n = go(d.f, &u);
    uio_destroy(&u);
  }
  fd_return(d);
  return n;
}

i64 sys_readv(struct uregs *r) { return sequential_vector(r, file_read); }
i64 sys_writev(struct uregs *r) { return sequential_vector(r, file_write); }

/* u has been set up; consumes it. */
static i64 positioned(int fd, struct uio *u, u64 pos, transfer_at go) {
  struct fdref d = fd_borrow(fd);
  i64 n = -EBADF;
  if (d.f) {
    if ((i64)pos < 0)
      n = -EINVAL;
    else if (!d.f->ops->seek)
      n = -ESPIPE;
    else
      n = go(d.f, u, &pos);
    fd_return(d);
  }
  uio_destroy(u);
  return n;
}

static i64 positioned_buffer(struct uregs *r, transfer_at go) {
  struct uio u;
  int e = uio_init_user(&u, r->rsi, r->rdx);
  return e < 0 ? e : positioned((int)r->rdi, &u, r->r10, go);
}

i64 sys_pread64(struct uregs *r) { return positioned_buffer(r, file_read_at); }
i64 sys_pwrite64(struct uregs *r) { return positioned_buffer(r, file_write_at); }

/* The high half of the offset (r8) does not matter on a 64-bit system. */
static i64 positioned_vector(struct uregs *r, transfer_at go) {
  struct uio u;
  int e = uio_init_iovec(&u, r->rsi, r->rdx);
  return e < 0 ? e : positioned((int)r->rdi, &u, r->r10, go);
}

i64 sys_preadv(struct uregs *r) { return positioned_vector(r, file_read_at); }
i64 sys_pwritev(struct uregs *r) { return positioned_vector(r, file_write_at); }

static i64 vector2(struct uregs *r, transfer go, transfer_at go_at) {
  if (r->r9 & ~(u64)RWF_SUPPORTED)
    return -EOPNOTSUPP;
  return (i64)r->r10 == -1 ? sequential_vector(r, go) : positioned_vector(r, go_at);
}

i64 sys_preadv2(struct uregs *r) { return vector2(r, file_read, file_read_at); }
i64 sys_pwritev2(struct uregs *r) { return vector2(r, file_write, file_write_at); }

i64 sys_lseek(struct uregs *r) {
  struct fdref d = fd_borrow((int)r->rdi);
  i64 pos = -ESPIPE;
  if (!d.f)
    return -EBADF;
  if (d.f->ops->seek) {
    mutex_lock(&d.f->pos_lock);
    pos = d.f->ops->seek(d.f, (i64)r->rsi, (int)r->rdx);
    mutex_unlock(&d.f->pos_lock);
  }
  fd_return(d);
  return pos;
}
