/* SPDX-License-Identifier: MIT */
/* sendfile and copy_file_range: one file into another, through a kernel buffer if need be. */
#include "kernel/fs/fdtable.h"
#include "kernel/fs/vfs.h"
#include "kernel/mm/kmalloc.h"
#include "kernel/syscall/syscall.h"

#define CHUNK 65536u

static i64 read_chunk(struct file *in, void *buf, size_t n, u64 *pos) {
  struct uio u;
  i64 got;
  uio_init_kernel(&u, buf, n);
  got = pos ? file_read_at(in, &u, pos) : file_read(in, &u);
  uio_destroy(&u);
  return got;
}

static i64 write_chunk(struct file *out, void *buf, size_t n, u64 *pos) {
  size_t done = 0;
  while (done < n) {
    struct uio u;
    i64 put;
    uio_init_kernel(&u, (char *)buf + done, n - done);
    put = pos ? file_write_at(out, &u, pos) : file_write(out, &u);
    uio_destroy(&u);
    if (put <= 0)
      return done ? (i64)done : put;
    done += (size_t)put;
  }
  return (i64)done;
}

/* What was read but could not be written is given back to the input's position. */
static void unread(struct file *in, u64 *pos, u64 n) {
  if (pos)
    *pos -= n;
  else if (in->ops->seek)
    in->ops->seek(in, -(i64)n, 1);
}

static i64 copy(struct file *out, u64 *out_pos, struct file *in, u64 *in_pos, u64 count) {
  char *buf = kmalloc(CHUNK);
  u64 done = 0;
  i64 got = 0, put = 0;
  if (!buf)
    return -ENOMEM;
  while (done < count) {
    got = read_chunk(in, buf, min_u64(count - done, CHUNK), in_pos);
    if (got <= 0)
      break;
    put = write_chunk(out, buf, (size_t)got, out_pos);
    if (put > 0)
      done += (u64)put;
    if (put < got) {
      unread(in, in_pos, (u64)(got - (put > 0 ? put : 0)));
      break;
    }
  }
  kfree(buf);
  if (done)
    return (i64)done;
  return got < 0 ? got : put < 0 ? put : 0;
}

static i64 send(struct file *out, struct file *in, u64 *pos, u64 count) {
  i64 n = file_send(out, in, pos, count);
  return n == -EOPNOTSUPP ? copy(out, NULL, in, pos, count) : n;
}

/* Loads the offset that a user pointer refers to; NULL pointer: *pos becomes NULL. */
static int load_offset(u64 uaddr, u64 *value, u64 **pos) {
  *pos = NULL;
  if (!uaddr)
    return 0;
  *pos = value;
  if (copy_from_user(value, uaddr, sizeof *value) < 0)
    return -EFAULT;
  return (i64)*value < 0 ? -EINVAL : 0;
}

i64 sys_sendfile(struct uregs *r) {
  struct fdref out = fd_borrow((int)r->rdi), in = fd_borrow((int)r->rsi);
  u64 value = 0, *pos = NULL;
  i64 n = -EBADF;
  if (out.f && in.f) {
    n = load_offset(r->rdx, &value, &pos);
    if (n == 0 && pos && !in.f->ops->seek)
      n = -ESPIPE;
    if (n == 0 && (!in.f->inode || !S_ISREG(in.f->inode->mode)))
      n = -EINVAL;
    if (n == 0)
      n = send(out.f, in.f, pos, min_u64(r->r10, 0x7ffff000));
    if (n >= 0 && pos && user_store64(r->rdx, value) < 0)
      n = -EFAULT;
  }
  if (out.f)
    fd_return(out);
  if (in.f)
    fd_return(in);
  return n;
}

static i64 copy_range(struct file *in, u64 in_addr, struct file *out, u64 out_addr, u64 count) {
  u64 in_value = 0, out_value = 0, *in_pos, *out_pos;
  i64 n = load_offset(in_addr, &in_value, &in_pos);
  if (n == 0)
    n = load_offset(out_addr, &out_value, &out_pos);
  if (n < 0)
    return n;
  if (!in->inode || !out->inode || !S_ISREG(in->inode->mode) || !S_ISREG(out->inode->mode))
    return -EINVAL;
  if (out->flags & O_APPEND)
    return -EBADF;
  n = copy(out, out_pos, in, in_pos, min_u64(count, 0x7ffff000));
  if (n > 0 && ((in_pos && user_store64(in_addr, in_value) < 0) ||
                (out_pos && user_store64(out_addr, out_value) < 0)))
    n = -EFAULT;
  return n;
}

i64 sys_copy_file_range(struct uregs *r) {
  struct fdref in = fd_borrow((int)r->rdi), out = fd_borrow((int)r->rdx);
  i64 n = -EBADF;
  if (in.f && out.f)
    n = r->r9 ? -EINVAL : copy_range(in.f, r->rsi, out.f, r->r10, r->r8);
  if (in.f)
    fd_return(in);
  if (out.f)
    fd_return(out);
  return n;
}
