/* SPDX-License-Identifier: MIT */
/* stat, statx, statfs and access: what is known of an object. */
#include "kernel/fs/cred.h"
#include "kernel/fs/fdtable.h"
#include "kernel/syscall/syscall.h"
#include "lib/string.h"

#define NSEC 1000000000L

/* struct stat of x86-64. */
struct user_stat {
  u64 dev, ino, nlink;
  u32 mode, uid, gid, pad0;
  u64 rdev;
  i64 size, blksize, blocks;
  i64 atime, atime_ns, mtime, mtime_ns, ctime, ctime_ns;
  i64 unused[3];
};
_Static_assert(sizeof(struct user_stat) == 144, "ABI");

static i64 floor_seconds(i64 ns) { return ns >= 0 ? ns / NSEC : -((-ns + NSEC - 1) / NSEC); }
static i64 rest_ns(i64 ns) { return ns - floor_seconds(ns) * NSEC; }

static i64 put_stat(u64 uaddr, const struct kstat *k) {
  struct user_stat s;
  memset(&s, 0, sizeof s);
  s.dev = k->dev;
  s.ino = k->ino;
  s.nlink = k->nlink;
  s.mode = k->mode;
  s.uid = k->uid;
  s.gid = k->gid;
  s.rdev = k->rdev;
  s.size = (i64)k->size;
  s.blksize = k->blksize;
  s.blocks = (i64)k->blocks;
  s.atime = floor_seconds(k->atime);
  s.atime_ns = rest_ns(k->atime);
  s.mtime = floor_seconds(k->mtime);
  s.mtime_ns = rest_ns(k->mtime);
  s.ctime = floor_seconds(k->ctime);
  s.ctime_ns = rest_ns(k->ctime);
  return copy_to_user(uaddr, &s, sizeof s);
}

struct user_statx_time {
  i64 sec;
  u32 nsec, pad;
};
struct user_statx {
  u32 mask, blksize;
  u64 attributes;
  u32 nlink, uid, gid;
  u16 mode, pad0;
  u64 ino, size, blocks, attributes_mask;
  struct user_statx_time atime, btime, ctime, mtime;
  u32 rdev_major, rdev_minor, dev_major, dev_minor;
  u64 mnt_id;
  u64 spare[13];
};
_Static_assert(sizeof(struct user_statx) == 256, "ABI");
#define STATX_BASIC 0x7ffu
#define STATX_BTIME 0x800u

static struct user_statx_time statx_time(i64 ns) {
  return (struct user_statx_time){floor_seconds(ns), (u32)rest_ns(ns), 0};
}

static u32 dev_major(u64 dev) { return (u32)((dev >> 8) & 0xfff); }
static u32 dev_minor(u64 dev) { return (u32)((dev & 0xff) | ((dev >> 12) & 0xffffff00)); }

static i64 put_statx(u64 uaddr, const struct kstat *k) {
  struct user_statx s;
  memset(&s, 0, sizeof s);
  s.mask = STATX_BASIC | (k->btime ? STATX_BTIME : 0);
  s.blksize = k->blksize;
  s.nlink = k->nlink;
  s.uid = k->uid;
  s.gid = k->gid;
  s.mode = (u16)k->mode;
  s.ino = k->ino;
  s.size = k->size;
  s.blocks = k->blocks;
  s.atime = statx_time(k->atime);
  s.btime = statx_time(k->btime);
  s.ctime = statx_time(k->ctime);
  s.mtime = statx_time(k->mtime);
  s.rdev_major = dev_major(k->rdev);
  s.rdev_minor = dev_minor(k->rdev);
  s.dev_major = dev_major(k->dev);
  s.dev_minor = dev_minor(k->dev);
  return copy_to_user(uaddr, &s, sizeof s);
}

/* ---- stat ------------------------------------------------------------------------------ */

static int stat_fd(int fd, struct kstat *st) {
  struct file *f = fd_get_path(fd);
  int e;
  if (!f)
    return -EBADF;
  e = file_getattr(f, st);
  file_put(f);
  return e;
}

/* A followed link without a dentry at its end (/dev/stdin that is a pipe) is its file. */
static int stat_dentry(struct dentry *d, u32 at_flags, struct kstat *st) {
  struct inode *i = d->inode;
  struct file *f;
  int e;
  if ((at_flags & AT_SYMLINK_NOFOLLOW) || !S_ISLNK(i->mode) || !i->ops->reopen)
    return inode_getattr(i, st);
  e = i->ops->reopen(i, O_PATH, &f);
  if (e < 0)
    return e;
  e = file_getattr(f, st);
  file_put(f);
  return e;
}

static int stat_path(int dirfd, u64 uaddr, u32 at_flags, struct kstat *st) {
  struct pathname p;
  struct dentry *start, *d = NULL;
  int e = (at_flags & AT_EMPTY_PATH) ? pathname_get_empty_ok(&p, uaddr) : pathname_get(&p, uaddr);
  if (e < 0)
    return e;
  if (!p.s[0] && dirfd != AT_FDCWD) {
    pathname_put(&p);
    return stat_fd(dirfd, st);
  }
  e = path_start(dirfd, p.s, &start);
  if (e == 0) {
    e = path_walk(start, p.s, (at_flags & AT_SYMLINK_NOFOLLOW) ? 0 : WALK_FOLLOW, &d);
    dentry_put(start);
  }
  pathname_put(&p);
  if (e != 0)
    return e;
  e = stat_dentry(d, at_flags, st);
  dentry_put(d);
  return e;
}

i64 sys_stat(struct uregs *r) {
  struct kstat st;
  int e = stat_path(AT_FDCWD, r->rdi, 0, &st);
  return e != 0 ? e : put_stat(r->rsi, &st);
}

i64 sys_lstat(struct uregs *r) {
  struct kstat st;
  int e = stat_path(AT_FDCWD, r->rdi, AT_SYMLINK_NOFOLLOW, &st);
  return e != 0 ? e : put_stat(r->rsi, &st);
}

i64 sys_fstat(struct uregs *r) {
  struct kstat st;
  int e = stat_fd((int)r->rdi, &st);
  return e < 0 ? e : put_stat(r->rsi, &st);
}

#define STAT_FLAGS (AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_EMPTY_PATH)

i64 sys_newfstatat(struct uregs *r) {
  struct kstat st;
  int e;
  if (r->r10 & ~(u64)STAT_FLAGS)
    return -EINVAL;
  e = stat_path((int)r->rdi, r->rsi, (u32)r->r10, &st);
  return e != 0 ? e : put_stat(r->rdx, &st);
}

#define STATX_SYNC_FLAGS 0x6000u

i64 sys_statx(struct uregs *r) {
  struct kstat st;
  int e;
  if (r->rdx & ~(u64)(STAT_FLAGS | STATX_SYNC_FLAGS))
    return -EINVAL;
  e = stat_path((int)r->rdi, r->rsi, (u32)r->rdx, &st);
  return e != 0 ? e : put_statx(r->r8, &st);
}

/* ---- statfs ---------------------------------------------------------------------------- */

struct user_statfs {
  i64 type, bsize;
  u64 blocks, bfree, bavail, files, ffree;
  u64 fsid;
  i64 namelen, frsize, flags, spare[4];
};
_Static_assert(sizeof(struct user_statfs) == 120, "ABI");

static i64 put_statfs(struct inode *i, u64 uaddr) {
  struct kstatfs k = {.type = i->super->magic, .bsize = PAGE_SIZE, .namelen = NAME_MAX};
  struct user_statfs s;
  int e = i->ops->statfs ? i->ops->statfs(i, &k) : 0;
  if (e < 0)
    return e;
  memset(&s, 0, sizeof s);
  s.type = (i64)k.type;
  s.bsize = s.frsize = (i64)k.bsize;
  s.blocks = k.blocks;
  s.bfree = k.bfree;
  s.bavail = k.bavail;
  s.files = k.files;
  s.ffree = k.ffree;
  s.fsid = k.fsid ? k.fsid : i->super->dev;
  s.namelen = (i64)k.namelen;
  s.flags = (i64)k.flags;
  return copy_to_user(uaddr, &s, sizeof s);
}

i64 sys_statfs(struct uregs *r) {
  struct pathname p;
  struct dentry *d;
  i64 e = pathname_get(&p, r->rdi);
  if (e < 0)
    return e;
  e = path_walk(NULL, p.s, WALK_FOLLOW, &d);
  pathname_put(&p);
  if (e != 0)
    return e;
  e = put_statfs(d->inode, r->rsi);
  dentry_put(d);
  return e;
}

i64 sys_fstatfs(struct uregs *r) {
  struct file *f = fd_get_path((int)r->rdi);
  i64 e;
  if (!f)
    return -EBADF;
  e = f->inode ? put_statfs(f->inode, r->rsi) : -ENOSYS;
  file_put(f);
  return e;
}

/* ---- access ---------------------------------------------------------------------------- */

static int may_access(struct dentry *d, u32 may, bool effective) {
  struct cred c = proc_current()->cred;
  int e;
  if (!effective) {
    c.fsuid = c.uid;
    c.fsgid = c.gid;
  }
  e = inode_permission_as(d->inode, &c, may);
  if (e == 0 && (may & MAY_WRITE) && d->mnt && d->mnt->read_only &&
      (S_ISREG(d->inode->mode) || S_ISDIR(d->inode->mode)))
    e = -EROFS;
  return e;
}

static i64 access_path(int dirfd, u64 uaddr, u32 may, u32 at_flags) {
  struct pathname p;
  struct dentry *start, *d = NULL;
  int e;
  if (may & ~7u)
    return -EINVAL;
  e = (at_flags & AT_EMPTY_PATH) ? pathname_get_empty_ok(&p, uaddr) : pathname_get(&p, uaddr);
  if (e < 0)
    return e;
  e = path_start(dirfd, p.s, &start);
  if (e == 0) {
    e = path_walk(start, p.s, (at_flags & AT_SYMLINK_NOFOLLOW) ? 0 : WALK_FOLLOW, &d);
    dentry_put(start);
  }
  pathname_put(&p);
  if (e != 0)
    return e;
  e = may ? may_access(d, may, at_flags & AT_EACCESS) : 0;
  dentry_put(d);
  return e;
}

i64 sys_access(struct uregs *r) { return access_path(AT_FDCWD, r->rdi, (u32)r->rsi, 0); }
i64 sys_faccessat(struct uregs *r) { return access_path((int)r->rdi, r->rsi, (u32)r->rdx, 0); }

i64 sys_faccessat2(struct uregs *r) {
  if (r->r10 & ~(u64)(AT_EACCESS | AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH))
    return -EINVAL;
  return access_path((int)r->rdi, r->rsi, (u32)r->rdx, (u32)r->r10);
}
