/* SPDX-License-Identifier: MIT */
/* tmpfs: inodes and the operations on names. Directories: tmpfs_dir.c; contents: tmpfs_file.c. */
#include "kernel/fs/tmpfs.h"
#include "kernel/fs/cred.h"
#include "kernel/mm/kmalloc.h"
#include "lib/string.h"

static const struct inode_ops tmp_ops;
static struct super nameless; /* memfd */

void tmp_touch(struct tmp_inode *t) { t->mtime = t->ctime = (i64)plat_walltime(); }

struct tmp_inode *tmp_inode_alloc(struct super *s, u32 mode) {
  struct tmp_inode *t = kzalloc(sizeof *t);
  if (!t)
    return NULL;
  inode_init(&t->inode, s, &tmp_ops, anon_ino(), mode);
  t->inode.uid = cred_fsuid();
  t->inode.gid = cred_fsgid();
  tmp_touch(t);
  t->atime = t->btime = t->mtime;
  if (S_ISDIR(mode))
    list_init(&t->dir.entries);
  if (S_ISREG(mode))
    t->reg.seals = F_SEAL_SEAL; /* memfd_create may allow sealing */
  return t;
}

static void tmp_release(struct inode *i) {
  struct tmp_inode *t = tmp_inode(i);
  switch (i->mode & S_IFMT) {
  case S_IFDIR:
    tmp_dir_free(t);
    break;
  case S_IFREG:
    tmp_file_free(t);
    break;
  case S_IFLNK:
    kfree(t->target);
    break;
  }
  kfree(t);
}

struct inode *tmpfs_create(struct super *s, u32 mode) {
  struct tmp_inode *t;
  super_init(s, "tmpfs", TMPFS_MAGIC);
  t = tmp_inode_alloc(s, S_IFDIR | mode);
  if (!t)
    return NULL;
  t->nlink = 2;
  t->dir.parent_ino = t->inode.ino;
  return &t->inode;
}

struct inode *tmpfs_new_file(u32 mode) {
  struct tmp_inode *t;
  if (!nameless.dev)
    super_init(&nameless, "tmpfs", TMPFS_MAGIC);
  t = tmp_inode_alloc(&nameless, S_IFREG | mode);
  return t ? &t->inode : NULL;
}

/* ---- attributes -------------------------------------------------------------------------- */

static u64 size_of(const struct tmp_inode *t) {
  switch (t->inode.mode & S_IFMT) {
  case S_IFDIR:
    return (u64)t->dir.nentries * 20;
  case S_IFREG:
    return t->reg.size;
  case S_IFLNK:
    return strlen(t->target);
  }
  return 0;
}

static int tmp_getattr(struct inode *i, struct kstat *st) {
  struct tmp_inode *t = tmp_inode(i);
  *st = (struct kstat){.dev = i->super->dev,
                       .ino = i->ino,
                       .rdev = i->rdev,
                       .mode = i->mode,
                       .nlink = t->nlink,
                       .uid = i->uid,
                       .gid = i->gid,
                       .size = size_of(t),
                       .blksize = PAGE_SIZE,
                       .atime = t->atime,
                       .mtime = t->mtime,
                       .ctime = t->ctime,
                       .btime = t->btime,
                       .version = t->version};
  if (S_ISREG(i->mode))
    st->blocks = (t->reg.obj ? t->reg.charged : round_up(st->size, PAGE_SIZE)) / 512;
  return 0;
}

static int tmp_setattr(struct inode *i, const struct iattr *a) {
  struct tmp_inode *t = tmp_inode(i);
  int e = 0;
  if (S_ISREG(i->mode) && (t->reg.seals & F_SEAL_EXEC) && (a->valid & ATTR_MODE) &&
      ((i->mode ^ a->mode) & 0111))
    return -EPERM;
  if (a->valid & ATTR_SIZE) {
    e = tmp_file_resize(t, a->size);
    if (e < 0)
      return e;
    tmp_touch(t);
  }
  if (a->valid & ATTR_MODE)
    i->mode = (i->mode & S_IFMT) | (a->mode & 07777);
  if (a->valid & ATTR_UID)
    i->uid = a->uid;
  if (a->valid & ATTR_GID)
    i->gid = a->gid;
  if (a->valid & ATTR_ATIME)
    t->atime = a->atime;
  if (a->valid & ATTR_MTIME)
    t->mtime = a->mtime;
  t->ctime = (i64)plat_walltime();
  return 0;
}

static int tmp_statfs(struct inode *i, struct kstatfs *st) {
  u64 limit = plat_mem_limit(), used = plat_mem_used() + tmpfs_bytes_used();
  (void)i;
  st->blocks = limit / PAGE_SIZE;
  st->bfree = st->bavail = used < limit ? (limit - used) / PAGE_SIZE : 0;
  st->files = st->ffree = 1u << 20;
  return 0;
}

/* ---- names; the directory's lock is held --------------------------------------------------- */

static int tmp_lookup(struct inode *dir, const char *name, struct inode **out) {
  struct tmp_inode *t;
  int e = tmp_dir_find(tmp_inode(dir), name, &t);
  if (e == 0)
    *out = inode_get(&t->inode);
  return e;
}

/* Gives a fresh inode its name; the entry and the caller get a reference each. */
static int attach(struct inode *dir, const char *name, struct tmp_inode *t, struct inode **out) {
  struct tmp_inode *d = tmp_inode(dir);
  int e;
  if (dir->mode & S_ISGID) {
    t->inode.gid = dir->gid;
    if (S_ISDIR(t->inode.mode))
      t->inode.mode |= S_ISGID;
  }
  e = tmp_dir_add(d, name, t);
  if (e < 0) {
    inode_put(&t->inode);
    return e;
  }
  t->nlink = S_ISDIR(t->inode.mode) ? 2 : 1;
  if (S_ISDIR(t->inode.mode)) {
    t->dir.parent_ino = dir->ino;
    d->nlink++;
  }
  tmp_touch(d);
  *out = inode_get(&t->inode);
  return 0;
}

static int make(struct inode *dir, const char *name, u32 mode, u64 rdev, struct inode **out) {
  struct tmp_inode *t = tmp_inode_alloc(dir->super, mode);
  if (!t)
    return -ENOSPC;
  t->inode.rdev = rdev;
  return attach(dir, name, t, out);
}

static int tmp_create(struct inode *dir, const char *name, u32 mode, struct inode **out) {
  return make(dir, name, S_IFREG | mode, 0, out);
}

static int tmp_mkdir(struct inode *dir, const char *name, u32 mode, struct inode **out) {
  return make(dir, name, S_IFDIR | mode, 0, out);
}

static int tmp_mknod(struct inode *dir, const char *name, u32 mode, u64 rdev, struct inode **out) {
  return make(dir, name, mode, rdev, out);
}

static int tmp_symlink(struct inode *dir, const char *name, const char *target,
                       struct inode **out) {
  struct tmp_inode *t = tmp_inode_alloc(dir->super, S_IFLNK | 0777);
  if (!t)
    return -ENOSPC;
  t->target = kstrdup(target);
  if (!t->target) {
    inode_put(&t->inode);
    return -ENOSPC;
  }
  return attach(dir, name, t, out);
}

static int tmp_link(struct inode *dir, const char *name, struct inode *target) {
  struct tmp_inode *t = tmp_inode(target);
  int e;
  if (__atomic_load_n(&t->nlink, __ATOMIC_RELAXED) == 0)
    return -ENOENT; /* removed meanwhile */
  e = tmp_dir_add(tmp_inode(dir), name, t);
  if (e < 0)
    return e;
  inode_get(target);
  __atomic_fetch_add(&t->nlink, 1, __ATOMIC_RELAXED);
  t->ctime = (i64)plat_walltime();
  tmp_touch(tmp_inode(dir));
  return 0;
}

static void unlinked(struct tmp_inode *dir, struct tmp_inode *t) {
  if (S_ISDIR(t->inode.mode)) {
    t->nlink = 0;
    dir->nlink--;
  } else {
    __atomic_fetch_sub(&t->nlink, 1, __ATOMIC_RELAXED);
  }
  t->ctime = (i64)plat_walltime();
}

static int tmp_unlink(struct inode *dir, const char *name, struct inode *target) {
  struct tmp_inode *d = tmp_inode(dir);
  unlinked(d, tmp_inode(target));
  tmp_touch(d);
  return tmp_dir_remove(d, name);
}

static int tmp_rmdir(struct inode *dir, const char *name, struct inode *target) {
  return tmp_inode(target)->dir.nentries ? -ENOTEMPTY : tmp_unlink(dir, name, target);
}

/* t has been moved from one directory to another: `..` and link counts follow. */
static void moved(struct tmp_inode *t, struct tmp_inode *from, struct tmp_inode *to) {
  if (!S_ISDIR(t->inode.mode) || from == to)
    return;
  from->nlink--;
  to->nlink++;
  t->dir.parent_ino = to->inode.ino;
}

static int exchange(struct tmp_inode *from, const char *name, struct tmp_inode *a,
                    struct tmp_inode *to, const char *newname, struct tmp_inode *b) {
  tmp_dir_replace(from, name, b);
  tmp_dir_replace(to, newname, a);
  moved(a, from, to);
  moved(b, to, from);
  return 0;
}

static int tmp_rename(struct inode *olddir, const char *name, struct inode *newdir,
                      const char *newname, u32 flags) {
  struct tmp_inode *from = tmp_inode(olddir), *to = tmp_inode(newdir), *t, *over = NULL;
  int e = tmp_dir_find(from, name, &t);
  if (e < 0)
    return e;
  e = tmp_dir_find(to, newname, &over);
  if (flags & RENAME_EXCHANGE) {
    if (e == 0)
      exchange(from, name, t, to, newname, over);
  } else {
    if (e == 0 && S_ISDIR(over->inode.mode) && over->dir.nentries)
      return -ENOTEMPTY;
    if (e == 0) {
      unlinked(to, over);
      tmp_dir_replace(to, newname, t);
      inode_put(&over->inode);
    } else {
      e = tmp_dir_add(to, newname, t);
    }
    if (e < 0)
      return e;
    inode_get(&t->inode); /* the new entry's; the old one's goes */
    moved(t, from, to);
    tmp_dir_remove(from, name);
  }
  tmp_touch(from);
  tmp_touch(to);
  t->ctime = from->ctime;
  return e;
}

static i64 tmp_readlink(struct inode *i, char *buf, size_t size) {
  const char *target = tmp_inode(i)->target;
  size_t n = strnlen(target, size);
  memcpy(buf, target, n);
  return (i64)n;
}

static int tmp_open(struct inode *i, struct file *f) {
  if (!S_ISDIR(i->mode) && !S_ISREG(i->mode))
    return -ENXIO;
  f->ops = S_ISDIR(i->mode) ? &tmp_dir_ops : &tmp_file_ops;
  return 0;
}

static const struct inode_ops tmp_ops = {
    .lookup = tmp_lookup,
    .create = tmp_create,
    .mkdir = tmp_mkdir,
    .mknod = tmp_mknod,
    .symlink = tmp_symlink,
    .link = tmp_link,
    .unlink = tmp_unlink,
    .rmdir = tmp_rmdir,
    .rename = tmp_rename,
    .readlink = tmp_readlink,
    .open = tmp_open,
    .getattr = tmp_getattr,
    .setattr = tmp_setattr,
    .statfs = tmp_statfs,
    .release = tmp_release,
};
