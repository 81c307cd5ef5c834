/* SPDX-License-Identifier: MIT */
/* Making and removing names. */
#include "kernel/fs/namei.h"
#include "kernel/fs/cred.h"
#include "kernel/fs/fdtable.h"
#include "kernel/fs/fs_context.h"
#include "kernel/fs/watch.h"
#include "kernel/mm/kmalloc.h"
#include "kernel/syscall/syscall.h"
#include "lib/string.h"

bool dentry_read_only(const struct dentry *d) { return d->mnt && d->mnt->read_only; }

int namei_may_change(struct dentry *dir) {
  if (dir->deleted)
    return -ENOENT;
  if (dentry_read_only(dir))
    return -EROFS;
  return inode_permission(dir->inode, MAY_WRITE | MAY_EXEC);
}

int namei_may_remove(struct dentry *dir, struct dentry *victim) {
  int e = namei_may_change(dir);
  u32 uid = cred_fsuid();
  if (e < 0)
    return e;
  if ((dir->inode->mode & S_ISVTX) && uid != 0 && uid != dir->inode->uid &&
      uid != victim->inode->uid)
    return -EPERM;
  return victim->mounted ? -EBUSY : 0;
}

/* ---- making ------------------------------------------------------------------------------ */

/* What is to be made; carried out by make_locked with the directory locked. */
struct making {
  u32 mode; /* with type; S_IFDIR, S_IFLNK, or what mknod takes */
  u64 rdev;
  const char *target;      /* S_IFLNK */
  struct inode *link_from; /* hard link */
};

static int make_in(struct inode *dir, const char *name, const struct making *m,
                   struct inode **out) {
  const struct inode_ops *ops = dir->ops;
  u32 perm = m->mode & 07777 & ~fs_context_umask();
  *out = NULL;
  if (m->link_from && S_ISDIR(m->link_from->mode))
    return -EPERM;
  if (m->link_from)
    return ops->link ? ops->link(dir, name, m->link_from) : -EPERM;
  switch (m->mode & S_IFMT) {
  case S_IFDIR:
    return ops->mkdir ? ops->mkdir(dir, name, perm, out) : -EPERM;
  case S_IFLNK:
    return ops->symlink ? ops->symlink(dir, name, m->target, out) : -EPERM;
  case S_IFREG:
    return ops->create ? ops->create(dir, name, perm, out) : -EPERM;
  default:
    return ops->mknod ? ops->mknod(dir, name, perm | (m->mode & S_IFMT), m->rdev, out) : -EPERM;
  }
}

static int make_locked(struct path_last *l, const struct making *m) {
  struct dentry *there;
  struct inode *made;
  int e = dentry_child(l->dir, l->name, &there);
  if (e == 0) {
    dentry_put(there);
    return -EEXIST;
  }
  if (e == -ENOENT && !(l->trailing_slash && !S_ISDIR(m->mode)))
    e = namei_may_change(l->dir);
  if (e == 0)
    e = make_in(l->dir->inode, l->name, m, &made);
  if (e != 0)
    return e;
  if (m->link_from && watch_any())
    watch_inode(m->link_from, IN_ATTRIB, NULL, 0);
  watch_child(l->dir, IN_CREATE, l->name, m->link_from ? m->link_from->mode : m->mode);
  inode_put(made);
  return 0;
}

static int make_at(struct dentry *start, const char *path, const struct making *m) {
  struct path_last l;
  int e = path_walk_last(start, path, 0, &l);
  if (e < 0)
    return e;
  if (l.special)
    e = -EEXIST;
  else if (m->link_from && m->link_from->super != l.dir->inode->super)
    e = -EXDEV;
  if (e == 0) {
    mutex_lock(&l.dir->inode->lock);
    e = make_locked(&l, m);
    mutex_unlock(&l.dir->inode->lock);
  }
  path_last_put(&l);
  return e;
}

static i64 make_user(int dirfd, u64 uaddr, const struct making *m) {
  struct pathname p;
  struct dentry *start;
  int e = pathname_get(&p, uaddr);
  if (e < 0)
    return e;
  e = path_start(dirfd, p.s, &start);
  if (e == 0) {
    e = make_at(start, p.s, m);
    dentry_put(start);
  }
  pathname_put(&p);
  return e;
}

int vfs_mknod(const char *path, u32 mode, u64 rdev) {
  struct making m = {.mode = mode, .rdev = rdev};
  return make_at(NULL, path, &m);
}

int vfs_symlink(const char *path, const char *target) {
  struct making m = {.mode = S_IFLNK | 0777, .target = target};
  return make_at(NULL, path, &m);
}

int vfs_link(const char *existing, const char *path) {
  struct dentry *d;
  int e = path_walk(NULL, existing, 0, &d);
  if (e < 0)
    return e;
  struct making m = {.link_from = d->inode};
  e = make_at(NULL, path, &m);
  dentry_put(d);
  return e;
}

int vfs_mkdir_p(const char *path, u32 mode) {
  struct making m = {.mode = S_IFDIR | mode};
  char *prefix = kmalloc(PATH_MAX);
  int e = 0;
  if (!prefix)
    return -ENOMEM;
  for (const char *end = path; *end && e == 0;) {
    while (*end == '/')
      end++;
    while (*end && *end != '/')
      end++;
    if ((u64)(end - path) >= PATH_MAX) {
      e = -ENAMETOOLONG;
      break;
    }
    memcpy(prefix, path, (size_t)(end - path));
    prefix[end - path] = 0;
    e = make_at(NULL, prefix, &m);
    if (e == -EEXIST)
      e = 0;
  }
  kfree(prefix);
  return e;
}

i64 sys_mkdirat(struct uregs *r) {
  struct making m = {.mode = S_IFDIR | ((u32)r->rdx & 01777)};
  return make_user((int)r->rdi, r->rsi, &m);
}

i64 sys_mkdir(struct uregs *r) {
  struct making m = {.mode = S_IFDIR | ((u32)r->rsi & 01777)};
  return make_user(AT_FDCWD, r->rdi, &m);
}

static i64 make_node(int dirfd, u64 path, u32 mode, u64 rdev) {
  struct making m = {.mode = mode, .rdev = rdev};
  switch (mode & S_IFMT) {
  case 0:
    m.mode |= S_IFREG;
    break;
  case S_IFREG:
  case S_IFIFO:
  case S_IFSOCK:
    break;
  case S_IFCHR:
  case S_IFBLK:
    if (!cred_is_root())
      return -EPERM;
    break;
  default:
    return S_ISDIR(mode) ? -EPERM : -EINVAL;
  }
  return make_user(dirfd, path, &m);
}

i64 sys_mknod(struct uregs *r) { return make_node(AT_FDCWD, r->rdi, (u32)r->rsi, r->rdx); }
i64 sys_mknodat(struct uregs *r) { return make_node((int)r->rdi, r->rsi, (u32)r->rdx, r->r10); }

static i64 make_symlink(u64 target, int dirfd, u64 path) {
  struct pathname t;
  i64 e = pathname_get(&t, target);
  if (e < 0)
    return e;
  struct making m = {.mode = S_IFLNK | 0777, .target = t.s};
  e = make_user(dirfd, path, &m);
  pathname_put(&t);
  return e;
}

i64 sys_symlink(struct uregs *r) { return make_symlink(r->rdi, AT_FDCWD, r->rsi); }
i64 sys_symlinkat(struct uregs *r) { return make_symlink(r->rdi, (int)r->rsi, r->rdx); }

/* The object to link to, a reference. */
static int link_source(int dirfd, u64 path, u32 flags, struct dentry **out) {
  struct pathname p;
  struct dentry *start;
  int e = (flags & AT_EMPTY_PATH) ? pathname_get_empty_ok(&p, path) : pathname_get(&p, path);
  if (e < 0)
    return e;
  e = path_start(dirfd, p.s, &start);
  if (e == 0) {
    e = path_walk(start, p.s, (flags & AT_SYMLINK_FOLLOW) ? WALK_FOLLOW : 0, out);
    dentry_put(start);
  }
  pathname_put(&p);
  return e;
}

static i64 make_link(int from_dir, u64 from, int to_dir, u64 to, u32 flags) {
  struct dentry *d = NULL;
  struct making m = {0};
  i64 e;
  if (flags & ~(AT_SYMLINK_FOLLOW | AT_EMPTY_PATH))
    return -EINVAL;
  e = link_source(from_dir, from, flags, &d);
  if (e != 0)
    return e;
  m.link_from = d->inode;
  e = make_user(to_dir, to, &m);
  dentry_put(d);
  return e;
}

i64 sys_link(struct uregs *r) { return make_link(AT_FDCWD, r->rdi, AT_FDCWD, r->rsi, 0); }
i64 sys_linkat(struct uregs *r) {
  return make_link((int)r->rdi, r->rsi, (int)r->rdx, r->r10, (u32)r->r8);
}

/* ---- removing ---------------------------------------------------------------------------- */

static int remove_dir_locked(struct dentry *dir, struct dentry *d, const char *name) {
  struct inode *i = dir->inode;
  int e;
  if (!i->ops->rmdir)
    return -EPERM;
  mutex_lock(&d->inode->lock); /* nothing is made in it meanwhile */
  e = i->ops->rmdir(i, name, d->inode);
  if (e == 0)
    dentry_delete(d);
  mutex_unlock(&d->inode->lock);
  if (e == 0)
    watch_child(dir, IN_DELETE, name, d->inode->mode);
  return e;
}

static int remove_file_locked(struct dentry *dir, struct dentry *d, const char *name) {
  struct inode *i = dir->inode;
  int e = i->ops->unlink ? i->ops->unlink(i, name, d->inode) : -EPERM;
  if (e != 0)
    return e;
  dentry_delete(d);
  if (watch_any())
    watch_inode(d->inode, IN_ATTRIB, NULL, 0);
  watch_child(dir, IN_DELETE, name, d->inode->mode);
  return 0;
}

static int remove_locked(struct path_last *l, bool is_rmdir) {
  struct dentry *d;
  int e = dentry_child(l->dir, l->name, &d);
  if (e < 0)
    return e;
  e = namei_may_remove(l->dir, d);
  if (e == 0 && is_rmdir)
    e = S_ISDIR(d->inode->mode) ? remove_dir_locked(l->dir, d, l->name) : -ENOTDIR;
  else if (e == 0 && S_ISDIR(d->inode->mode))
    e = -EISDIR;
  else if (e == 0)
    e = l->trailing_slash ? -ENOTDIR : remove_file_locked(l->dir, d, l->name);
  dentry_put(d);
  return e;
}

static int special_removal(const struct path_last *l, bool is_rmdir) {
  if (!is_rmdir)
    return -EISDIR;
  if (strcmp(l->name, "/") == 0)
    return -EBUSY;
  return l->name[1] ? -ENOTEMPTY : -EINVAL;
}

static i64 remove_user(int dirfd, u64 uaddr, bool is_rmdir) {
  struct pathname p;
  struct dentry *start;
  struct path_last l = {0};
  int e = pathname_get(&p, uaddr);
  if (e < 0)
    return e;
  e = path_start(dirfd, p.s, &start);
  if (e == 0) {
    e = path_walk_last(start, p.s, 0, &l);
    dentry_put(start);
  }
  pathname_put(&p);
  if (e != 0)
    return e;
  if (l.special)
    e = special_removal(&l, is_rmdir);
  else {
    mutex_lock(&l.dir->inode->lock);
    e = remove_locked(&l, is_rmdir);
    mutex_unlock(&l.dir->inode->lock);
  }
  path_last_put(&l);
  return e;
}

i64 sys_unlink(struct uregs *r) { return remove_user(AT_FDCWD, r->rdi, false); }
i64 sys_rmdir(struct uregs *r) { return remove_user(AT_FDCWD, r->rdi, true); }

i64 sys_unlinkat(struct uregs *r) {
  if (r->rdx & ~(u64)AT_REMOVEDIR)
    return -EINVAL;
  return remove_user((int)r->rdi, r->rsi, r->rdx & AT_REMOVEDIR);
}

/* ---- reading links ----------------------------------------------------------------------- */

static i64 read_link(int dirfd, u64 uaddr, u64 buf, u64 size) {
  struct pathname p;
  struct dentry *start, *d = NULL;
  char *text = NULL;
  i64 n;
  if ((i64)size <= 0)
    return -EINVAL;
  n = pathname_get_empty_ok(&p, uaddr);
  if (n < 0)
    return n;
  if (!p.s[0] && dirfd == AT_FDCWD)
    n = -ENOENT;
  else
    n = path_start(dirfd, p.s, &start);
  if (n == 0) {
    n = path_walk(start, p.s, 0, &d);
    dentry_put(start);
  }
  pathname_put(&p);
  if (n != 0)
    return n;
  text = kmalloc(PATH_MAX);
  n = !text ? -ENOMEM
      : S_ISLNK(d->inode->mode) && d->inode->ops->readlink
          ? d->inode->ops->readlink(d->inode, text, min_u64(size, PATH_MAX))
          : -EINVAL;
  if (n > 0 && copy_to_user(buf, text, (size_t)n) < 0)
    n = -EFAULT;
  kfree(text);
  dentry_put(d);
  return n;
}

i64 sys_readlink(struct uregs *r) { return read_link(AT_FDCWD, r->rdi, r->rsi, r->rdx); }
i64 sys_readlinkat(struct uregs *r) { return read_link((int)r->rdi, r->rsi, r->rdx, r->r10); }
