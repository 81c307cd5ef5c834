/* SPDX-License-Identifier: MIT */
/* open and its relatives. */
#include "kernel/fs/chrdev.h"
#include "kernel/fs/cred.h"
#include "kernel/fs/fdtable.h"
#include "kernel/fs/fs_context.h"
#include "kernel/fs/vfs.h"
#include "kernel/fs/watch.h"
#include "kernel/ipc/fifo.h"
#include "kernel/mm/kmalloc.h"
#include "kernel/syscall/syscall.h"
#include "lib/string.h"

#define O_TMPFILE_BIT 020000000u
/* What stays visible through F_GETFL. */
#define KEPT_FLAGS (~(u32)(O_CREAT | O_EXCL | O_NOCTTY | O_TRUNC | O_CLOEXEC))

static const struct file_ops path_only_ops = {.name = "path"};

static u32 wanted_access(u32 flags) {
  static const u32 may[] = {MAY_READ, MAY_WRITE, MAY_READ | MAY_WRITE, MAY_READ | MAY_WRITE};
  return may[flags & O_ACCMODE] | ((flags & O_TRUNC) ? MAY_WRITE : 0);
}

/* Is opening an object of this kind like that possible at all? */
static int check_kind(const struct dentry *d, u32 flags) {
  u32 mode = d->inode->mode;
  if ((flags & O_DIRECTORY) && !S_ISDIR(mode))
    return -ENOTDIR;
  if (flags & O_PATH)
    return 0;
  if (S_ISLNK(mode) && !d->inode->ops->reopen)
    return -ELOOP;
  if (S_ISDIR(mode) && ((flags & (O_CREAT | O_TRUNC)) || (flags & O_ACCMODE) != O_RDONLY))
    return -EISDIR;
  if (S_ISSOCK(mode))
    return -ENXIO;
  if (d->mnt && d->mnt->read_only && (wanted_access(flags) & MAY_WRITE) &&
      (S_ISREG(mode) || S_ISDIR(mode)))
    return -EROFS;
  return 0;
}

static int truncate_opened(struct inode *i) {
  struct iattr a = {.valid = ATTR_SIZE, .size = 0};
  int e;
  if (!i->ops->setattr)
    return 0;
  mutex_lock(&i->lock);
  e = i->ops->setattr(i, &a);
  mutex_unlock(&i->lock);
  return e;
}

static int open_by_kind(struct inode *i, struct file *f) {
  switch (i->mode & S_IFMT) {
  case S_IFIFO:
    return fifo_open(i, f);
  case S_IFCHR:
  case S_IFBLK:
    return chrdev_open(i, f);
  default:
    return i->ops->open ? i->ops->open(i, f) : -ENXIO;
  }
}

int vfs_open_dentry(struct dentry *d, u32 flags, struct file **out) {
  struct inode *i = d->inode;
  struct file *f;
  int e = check_kind(d, flags);
  if (e < 0)
    return e;
  if (i->ops->reopen && !(flags & O_PATH))
    return i->ops->reopen(i, flags, out);
  f = file_alloc(&path_only_ops, flags & (KEPT_FLAGS | O_NOCTTY), NULL); /* for terminals */
  if (!f)
    return -ENOMEM;
  f->inode = inode_get(i);
  f->dentry = dentry_get(d);
  bool truncate = (flags & O_TRUNC) && !(flags & O_PATH) && S_ISREG(i->mode);
  if (truncate)
    e = truncate_opened(i);
  if (e == 0 && !(flags & O_PATH))
    e = open_by_kind(i, f);
  if (e < 0) {
    f->ops = &path_only_ops;
    f->flags |= O_PATH; /* nobody learns of its end */
    file_put(f);
    return e;
  }
  f->flags &= ~(u32)O_NOCTTY;
  watch_file(f, IN_OPEN);
  if (truncate)
    watch_file(f, IN_MODIFY);
  *out = f;
  return 0;
}

static int open_existing(struct dentry *d, u32 flags, struct file **out) {
  if (!(flags & O_PATH)) {
    int e = inode_permission(d->inode, wanted_access(flags));
    if (e < 0)
      return S_ISLNK(d->inode->mode) && !d->inode->ops->reopen ? -ELOOP : e;
  }
  return vfs_open_dentry(d, flags, out);
}

/* The directory of l is locked. -EEXIST if somebody was faster. */
static int create_locked(struct path_last *l, u32 mode, struct dentry **out) {
  struct inode *dir = l->dir->inode, *i;
  int e = dentry_child(l->dir, l->name, out);
  if (e == 0) {
    dentry_put(*out);
    return -EEXIST;
  }
  if (e != -ENOENT)
    return e;
  if (l->dir->deleted)
    return -ENOENT;
  if (l->dir->mnt && l->dir->mnt->read_only)
    return -EROFS;
  e = inode_permission(dir, MAY_WRITE | MAY_EXEC);
  if (e < 0)
    return e;
  if (!dir->ops->create)
    return -EACCES;
  e = dir->ops->create(dir, l->name, mode & 07777 & ~fs_context_umask(), &i);
  if (e < 0)
    return e;
  watch_child(l->dir, IN_CREATE, l->name, i->mode);
  inode_put(i);
  return dentry_child(l->dir, l->name, out);
}

/* The creator may open what it has created whatever the mode says. */
static int create_and_open(struct dentry *start, const char *path, u32 flags, u32 mode, u32 walk,
                           struct file **out) {
  struct path_last l;
  struct dentry *d;
  int e = path_walk_last(start, path, walk, &l);
  if (e < 0)
    return e;
  if (l.special || l.trailing_slash) {
    path_last_put(&l);
    return -EISDIR;
  }
  mutex_lock(&l.dir->inode->lock);
  e = create_locked(&l, mode, &d);
  mutex_unlock(&l.dir->inode->lock);
  path_last_put(&l);
  if (e < 0)
    return e;
  e = vfs_open_dentry(d, flags & ~(u32)(O_CREAT | O_TRUNC), out);
  dentry_put(d);
  return e;
}

static int open_from(struct dentry *start, const char *path, u32 flags, u32 mode, u32 walk,
                     struct file **out) {
  bool exclusive = (flags & (O_CREAT | O_EXCL)) == (O_CREAT | O_EXCL);
  if (!(flags & O_NOFOLLOW) && !exclusive)
    walk |= WALK_FOLLOW;
  if (flags & O_CREAT)
    walk |= WALK_CREATE;
  for (int tries = 0; tries < 16; tries++) {
    struct dentry *d;
    int e = path_walk(start, path, walk, &d);
    if (e == 0) {
      e = exclusive ? -EEXIST : open_existing(d, flags, out);
      dentry_put(d);
      return e;
    }
    if (e != -ENOENT || !(flags & O_CREAT))
      return e;
    e = create_and_open(start, path, flags, mode, walk, out);
    if (e != -EEXIST || exclusive)
      return e;
  }
  return -EEXIST;
}

int vfs_openat(int dirfd, const char *path, u32 flags, u32 mode, u32 walk, struct file **out) {
  struct dentry *start;
  int e;
  if (flags & O_PATH)
    flags &= O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
  if (flags & O_TMPFILE_BIT)
    return -EOPNOTSUPP;
  if ((flags & O_CREAT) && (flags & O_DIRECTORY))
    return -EINVAL;
  e = path_start(dirfd, path, &start);
  if (e < 0)
    return e;
  e = open_from(start, path, flags, mode, walk, out);
  dentry_put(start);
  return e;
}

int vfs_open(const char *path, u32 flags, u32 mode, struct file **out) {
  return vfs_openat(AT_FDCWD, path, flags, mode, 0, out);
}

static int check_executable(struct dentry *d, int flags) {
  if (S_ISLNK(d->inode->mode))
    return (flags & (int)AT_SYMLINK_NOFOLLOW) ? -ELOOP : -EACCES;
  if (!S_ISREG(d->inode->mode))
    return -EACCES;
  return inode_permission(d->inode, MAY_EXEC);
}

int vfs_open_exec(int dirfd, const char *path, int flags, struct file **out) {
  struct dentry *start, *d = NULL;
  int e = *path || (flags & (int)AT_EMPTY_PATH) ? path_start(dirfd, path, &start) : -ENOENT;
  if (e < 0)
    return e;
  e = path_walk(start, path, (flags & (int)AT_SYMLINK_NOFOLLOW) ? 0 : WALK_FOLLOW, &d);
  dentry_put(start);
  if (e < 0)
    return e;
  e = check_executable(d, flags);
  if (e == 0)
    e = vfs_open_dentry(d, O_RDONLY, out);
  dentry_put(d);
  return e;
}

/* ---- system calls -------------------------------------------------------------------- */

static i64 open_user(int dirfd, u64 path, u32 flags, u32 mode, u32 walk) {
  struct pathname p;
  struct file *f = NULL;
  int e = pathname_get(&p, path);
  if (e < 0)
    return e;
  e = vfs_openat(dirfd, p.s, flags, mode, walk, &f);
  pathname_put(&p);
  if (e < 0)
    return e;
  e = fd_install(f, flags, 0);
  if (e < 0)
    file_put(f);
  return e;
}

i64 sys_open(struct uregs *r) { return open_user(AT_FDCWD, r->rdi, (u32)r->rsi, (u32)r->rdx, 0); }

i64 sys_creat(struct uregs *r) {
  return open_user(AT_FDCWD, r->rdi, O_CREAT | O_WRONLY | O_TRUNC, (u32)r->rsi, 0);
}

i64 sys_openat(struct uregs *r) {
  return open_user((int)r->rdi, r->rsi, (u32)r->rdx, (u32)r->r10, 0);
}

#define RESOLVE_NO_XDEV 1u
#define RESOLVE_NO_MAGICLINKS 2u
#define RESOLVE_NO_SYMLINKS 4u
#define RESOLVE_BENEATH 8u
#define RESOLVE_IN_ROOT 0x10u

static u32 walk_flags(u64 resolve) {
  return ((resolve & RESOLVE_NO_XDEV) ? WALK_NO_XDEV : 0) |
         ((resolve & RESOLVE_NO_MAGICLINKS) ? WALK_NO_MAGIC : 0) |
         ((resolve & RESOLVE_NO_SYMLINKS) ? WALK_NO_LINKS : 0) |
         ((resolve & RESOLVE_BENEATH) ? WALK_BENEATH : 0) |
         ((resolve & RESOLVE_IN_ROOT) ? WALK_IN_ROOT : 0);
}

/* Bytes of an extended structure beyond those we know must be zero. */
static int check_zero_tail(u64 uaddr, u64 n) {
  u8 buf[64];
  while (n > 0) {
    size_t piece = min_u64(n, sizeof buf);
    if (copy_from_user(buf, uaddr, piece) < 0)
      return -EFAULT;
    for (size_t k = 0; k < piece; k++)
      if (buf[k])
        return -E2BIG;
    uaddr += piece;
    n -= piece;
  }
  return 0;
}

i64 sys_openat2(struct uregs *r) {
  struct {
    u64 flags, mode, resolve;
  } how;
  int e;
  if (r->r10 < sizeof how)
    return -EINVAL;
  if (r->r10 > PAGE_SIZE)
    return -E2BIG;
  if (copy_from_user(&how, r->rdx, sizeof how) < 0)
    return -EFAULT;
  e = check_zero_tail(r->rdx + sizeof how, r->r10 - sizeof how);
  if (e < 0)
    return e;
  if ((how.flags >> 32) || (how.mode & ~07777UL) || (how.resolve & ~0x1fUL) ||
      (how.mode && !(how.flags & O_CREAT)) ||
      (how.resolve & (RESOLVE_BENEATH | RESOLVE_IN_ROOT)) == (RESOLVE_BENEATH | RESOLVE_IN_ROOT))
    return -EINVAL;
  return open_user((int)r->rdi, r->rsi, (u32)how.flags, (u32)how.mode, walk_flags(how.resolve));
}
