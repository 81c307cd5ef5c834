/* SPDX-License-Identifier: MIT */
/* Path arguments of system calls: copied once, walked from the right start. */
#include "kernel/fs/fdtable.h"
#include "kernel/fs/fs_context.h"
#include "kernel/fs/vfs.h"
#include "kernel/mm/kmalloc.h"

int pathname_get_empty_ok(struct pathname *p, u64 uaddr) {
  i64 n = copy_string_from_user(p->inline_buf, uaddr, sizeof p->inline_buf);
  p->s = p->inline_buf;
  if (n != -ENAMETOOLONG)
    return n < 0 ? (int)n : 0;
  p->s = kmalloc(PATH_MAX);
  if (!p->s)
    return -ENOMEM;
  n = copy_string_from_user(p->s, uaddr, PATH_MAX);
  if (n >= 0)
    return 0;
  kfree(p->s);
  return (int)n;
}

int pathname_get(struct pathname *p, u64 uaddr) {
  int e = pathname_get_empty_ok(p, uaddr);
  if (e < 0 || p->s[0])
    return e;
  pathname_put(p);
  return -ENOENT;
}

void pathname_put(struct pathname *p) {
  if (p->s != p->inline_buf)
    kfree(p->s);
}

int path_start(int dirfd, const char *path, struct dentry **out) {
  struct file *f;
  int e = 0;
  if (*path == '/' || dirfd == AT_FDCWD) {
    *out = fs_context_cwd();
    return 0;
  }
  f = fd_get_path(dirfd);
  if (!f)
    return -EBADF;
  if (!f->dentry || (*path && !S_ISDIR(f->dentry->inode->mode)))
    e = -ENOTDIR;
  else
    *out = dentry_get(f->dentry);
  file_put(f);
  return e;
}
