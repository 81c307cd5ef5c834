/* SPDX-License-Identifier: MIT */
/* From a dentry back to a path. */
#include "kernel/fs/fs_context.h"
#include "kernel/mm/kmalloc.h"
#include "kernel/syscall/syscall.h"
#include "lib/string.h"

static const char deleted_mark[] = " (deleted)";

/* Steps over the roots of mounts to the name that is seen. */
static struct dentry *visible(struct dentry *d, const struct dentry *root) {
  while (d != root && d->mnt && d == d->mnt->root && d->mnt->covered)
    d = d->mnt->covered;
  return d;
}

/* Builds the path at the end of buf; its start or NULL if it is too long. dcache_lock held. */
static char *build(struct dentry *d, const struct dentry *root, char *buf, size_t size) {
  char *at = buf + size - 1;
  *at = 0;
  if (d->deleted) {
    if (size < sizeof deleted_mark)
      return NULL;
    at -= sizeof deleted_mark - 1;
    memcpy(at, deleted_mark, sizeof deleted_mark - 1);
  }
  char *end = at;
  for (;;) {
    d = visible(d, root);
    if (d == root || d->parent == d)
      break;
    if ((size_t)(at - buf) < d->len + 1)
      return NULL;
    at -= d->len;
    memcpy(at, d->name, d->len);
    *--at = '/';
    d = d->parent;
  }
  if (at == end) {
    if (at == buf)
      return NULL;
    *--at = '/';
  }
  return at;
}

i64 path_of(struct dentry *d, char *buf, size_t size) {
  struct dentry *root = fs_context_root();
  char *at;
  size_t len = 0;
  if (size == 0)
    return -ENAMETOOLONG;
  spin_lock(&dcache_lock);
  at = build(d, root, buf, size);
  spin_unlock(&dcache_lock);
  if (at) {
    len = strlen(at);
    memmove(buf, at, len + 1);
  }
  dentry_put(root);
  return at ? (i64)len : -ENAMETOOLONG;
}

i64 vfs_path_of(struct file *f, char *buf, size_t size) {
  struct dentry *d;
  i64 n;
  if (f && !f->dentry)
    return -ENOENT;
  d = f ? dentry_get(f->dentry) : fs_context_cwd();
  n = path_of(d, buf, size);
  dentry_put(d);
  return n;
}

i64 sys_getcwd(struct uregs *r) {
  struct dentry *d = fs_context_cwd();
  char *buf = kmalloc(PATH_MAX);
  i64 n = -ENOMEM;
  if (buf) {
    n = d->deleted ? -ENOENT : path_of(d, buf, PATH_MAX);
    if (n >= 0 && (u64)n + 1 > r->rsi)
      n = -ERANGE;
    if (n >= 0)
      n = copy_to_user(r->rdi, buf, (size_t)n + 1) < 0 ? -EFAULT : n + 1;
  }
  kfree(buf);
  dentry_put(d);
  return n;
}
