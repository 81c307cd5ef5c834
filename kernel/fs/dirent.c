/* SPDX-License-Identifier: MIT */
/* Reading directories. */
#include "kernel/fs/fdtable.h"
#include "kernel/fs/vfs.h"
#include "kernel/fs/watch.h"
#include "kernel/syscall/syscall.h"
#include "lib/string.h"

/* struct linux_dirent64 without its name. */
struct record_head {
  u64 ino;
  i64 next;
  u16 len;
  u8 type;
} __attribute__((packed));

int dirent_emit(struct uio *u, u64 ino, u64 next, u32 mode, const char *name) {
  struct {
    struct record_head h;
    char name[NAME_MAX + 1 + 8];
  } __attribute__((packed)) rec;
  size_t len = strnlen(name, NAME_MAX);
  size_t size = round_up(sizeof rec.h + len + 1, 8);
  i64 n;
  if (u->left < size)
    return -EINVAL;
  rec.h = (struct record_head){ino, (i64)next, (u16)size, (u8)((mode & S_IFMT) >> 12)};
  memset((char *)&rec + sizeof rec.h + len, 0, size - sizeof rec.h - len);
  memcpy(rec.name, name, len);
  n = uio_write_to(u, &rec, size);
  return n == (i64)size ? 0 : -EFAULT;
}

i64 sys_getdents64(struct uregs *r) {
  struct fdref d = fd_borrow((int)r->rdi);
  struct uio u;
  i64 n;
  if (!d.f)
    return -EBADF;
  n = d.f->ops->readdir ? uio_init_user(&u, r->rsi, (u32)r->rdx) : -ENOTDIR;
  if (n == 0) {
    mutex_lock(&d.f->pos_lock);
    n = d.f->dentry && d.f->dentry->deleted ? -ENOENT : d.f->ops->readdir(d.f, &u);
    mutex_unlock(&d.f->pos_lock);
    uio_destroy(&u);
    if (n >= 0)
      watch_file(d.f, IN_ACCESS);
  }
  fd_return(d);
  return n;
}
