/* SPDX-License-Identifier: MIT */
/* Changing attributes: modes, owners, times, sizes. */
#include "kernel/fs/cred.h"
#include "kernel/fs/fdtable.h"
#include "kernel/fs/watch.h"
#include "kernel/signal/signal.h"
#include "kernel/syscall/syscall.h"

/* Who may change what; may refine a (suid bits fall when ownership changes). Inode's lock held. */
typedef int (*attr_check)(struct inode *i, struct iattr *a);

/* As Linux tells them apart. */
static void watch_attr(struct dentry *d, u32 valid) {
  u32 times = valid & (ATTR_ATIME | ATTR_MTIME), mask = valid & ATTR_SIZE ? IN_MODIFY : 0;
  if (valid & (ATTR_MODE | ATTR_UID | ATTR_GID) || times == (ATTR_ATIME | ATTR_MTIME))
    mask |= IN_ATTRIB;
  else if (times)
    mask |= times == ATTR_ATIME ? IN_ACCESS : IN_MODIFY;
  if (mask)
    watch_dentry(d, mask);
}

static int apply(struct dentry *d, struct iattr a, attr_check check) {
  struct inode *i = d->inode;
  int e;
  if (d->mnt && d->mnt->read_only)
    return -EROFS;
  mutex_lock(&i->lock);
  e = check ? check(i, &a) : 0;
  if (e == 0)
    e = i->ops->setattr ? i->ops->setattr(i, &a) : -EPERM;
  mutex_unlock(&i->lock);
  if (e == 0 && watch_any())
    watch_attr(d, a.valid);
  return e;
}

static i64 apply_fd(int fd, const struct iattr *a, attr_check check, bool path_ok) {
  struct file *f = path_ok ? fd_get_path(fd) : fd_get(fd);
  i64 e;
  if (!f)
    return -EBADF;
  e = f->dentry ? apply(f->dentry, *a, check) : -EINVAL;
  file_put(f);
  return e;
}

static i64 apply_path(int dirfd, u64 uaddr, u32 at_flags, const struct iattr *a, attr_check check) {
  struct pathname p;
  struct dentry *start, *d = NULL;
  int e = (at_flags & AT_EMPTY_PATH) ? pathname_get_empty_ok(&p, uaddr) : pathname_get(&p, uaddr);
  if (e < 0)
    return e;
  if (!p.s[0] && dirfd != AT_FDCWD) {
    pathname_put(&p);
    return apply_fd(dirfd, a, check, true);
  }
  e = path_start(dirfd, p.s, &start);
  if (e == 0) {
    e = path_walk(start, p.s, (at_flags & AT_SYMLINK_NOFOLLOW) ? 0 : WALK_FOLLOW, &d);
    dentry_put(start);
  }
  pathname_put(&p);
  if (e != 0)
    return e;
  e = apply(d, *a, check);
  dentry_put(d);
  return e;
}

/* ---- modes ----------------------------------------------------------------------------- */

static int check_mode(struct inode *i, struct iattr *a) {
  if (!cred_owns(i))
    return -EPERM;
  if (S_ISLNK(i->mode))
    return -EOPNOTSUPP;
  if (cred_fsuid() != 0 && !cred_in_group(cred_running(), i->gid))
    a->mode &= ~S_ISGID;
  return 0;
}

static struct iattr new_mode(u64 mode) {
  return (struct iattr){.valid = ATTR_MODE, .mode = (u32)mode & 07777};
}

i64 sys_chmod(struct uregs *r) {
  struct iattr a = new_mode(r->rsi);
  return apply_path(AT_FDCWD, r->rdi, 0, &a, check_mode);
}

i64 sys_fchmod(struct uregs *r) {
  struct iattr a = new_mode(r->rsi);
  return apply_fd((int)r->rdi, &a, check_mode, false);
}

i64 sys_fchmodat(struct uregs *r) {
  struct iattr a = new_mode(r->rdx);
  return apply_path((int)r->rdi, r->rsi, 0, &a, check_mode);
}

/* ---- owners ---------------------------------------------------------------------------- */

static int check_owner(struct inode *i, struct iattr *a) {
  const struct cred *c = cred_running();
  if (cred_fsuid() != 0) {
    if ((a->valid & ATTR_UID) && (c->fsuid != i->uid || a->uid != i->uid))
      return -EPERM;
    if ((a->valid & ATTR_GID) && (c->fsuid != i->uid || !cred_in_group(c, a->gid)))
      return -EPERM;
  }
  if (!S_ISDIR(i->mode) && (i->mode & (S_ISUID | S_ISGID))) {
    a->valid |= ATTR_MODE;
    a->mode = i->mode & 07777 & ~(S_ISUID | ((i->mode & 010) ? S_ISGID : 0));
  }
  return 0;
}

static struct iattr new_owner(u64 uid, u64 gid) {
  struct iattr a = {.uid = (u32)uid, .gid = (u32)gid};
  a.valid = ((u32)uid != ~0u ? ATTR_UID : 0) | ((u32)gid != ~0u ? ATTR_GID : 0);
  return a;
}

i64 sys_chown(struct uregs *r) {
  struct iattr a = new_owner(r->rsi, r->rdx);
  return apply_path(AT_FDCWD, r->rdi, 0, &a, check_owner);
}

i64 sys_lchown(struct uregs *r) {
  struct iattr a = new_owner(r->rsi, r->rdx);
  return apply_path(AT_FDCWD, r->rdi, AT_SYMLINK_NOFOLLOW, &a, check_owner);
}

i64 sys_fchown(struct uregs *r) {
  struct iattr a = new_owner(r->rsi, r->rdx);
  return apply_fd((int)r->rdi, &a, check_owner, false);
}

i64 sys_fchownat(struct uregs *r) {
  struct iattr a = new_owner(r->rdx, r->r10);
  if (r->r8 & ~(u64)(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH))
    return -EINVAL;
  return apply_path((int)r->rdi, r->rsi, (u32)r->r8, &a, check_owner);
}

/* ---- times ----------------------------------------------------------------------------- */

#define UTIME_NOW 0x3fffffff
#define UTIME_OMIT 0x3ffffffe
#define NSEC 1000000000L

static int check_times(struct inode *i, struct iattr *a) {
  (void)a;
  return a->valid == 0 || cred_owns(i) ? 0 : -EPERM;
}

/* "Now" may be set by whoever may write. */
static int check_times_now(struct inode *i, struct iattr *a) {
  (void)a;
  return cred_owns(i) ? 0 : inode_permission(i, MAY_WRITE);
}

struct user_timespec {
  i64 sec, nsec;
};

static int one_time(const struct user_timespec *t, u32 bit, struct iattr *a, i64 *to) {
  if (t->nsec == UTIME_OMIT)
    return 0;
  a->valid |= bit;
  if (t->nsec == UTIME_NOW)
    *to = (i64)plat_walltime();
  else if (t->nsec < 0 || t->nsec >= NSEC)
    return -EINVAL;
  else
    *to = t->sec * NSEC + t->nsec;
  return 0;
}

/* times: NULL for now. */
static i64 set_times(int dirfd, u64 path, u32 at_flags, const struct user_timespec *times) {
  static const struct user_timespec now[2] = {{0, UTIME_NOW}, {0, UTIME_NOW}};
  const struct user_timespec *t = times ? times : now;
  bool all_now = t[0].nsec == UTIME_NOW && t[1].nsec == UTIME_NOW;
  struct iattr a = {0};
  int e = one_time(&t[0], ATTR_ATIME, &a, &a.atime);
  if (e == 0)
    e = one_time(&t[1], ATTR_MTIME, &a, &a.mtime);
  if (e < 0)
    return e;
  if (!path)
    return apply_fd(dirfd, &a, all_now ? check_times_now : check_times, false);
  return apply_path(dirfd, path, at_flags, &a, all_now ? check_times_now : check_times);
}

i64 sys_utimensat(struct uregs *r) {
  struct user_timespec t[2];
  if (r->r10 & ~(u64)(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH))
    return -EINVAL;
  if (r->rdx && copy_from_user(t, r->rdx, sizeof t) < 0)
    return -EFAULT;
  return set_times((int)r->rdi, r->rsi, (u32)r->r10, r->rdx ? t : NULL);
}

static i64 set_times_us(int dirfd, u64 path, u64 uaddr) {
  struct user_timespec t[2]; /* struct timeval has the same shape */
  if (uaddr) {
    if (copy_from_user(t, uaddr, sizeof t) < 0)
      return -EFAULT;
    for (int k = 0; k < 2; k++) {
      if (t[k].nsec < 0 || t[k].nsec >= 1000000)
        return -EINVAL;
      t[k].nsec *= 1000;
    }
  }
  return set_times(dirfd, path, 0, uaddr ? t : NULL);
}

i64 sys_utimes(struct uregs *r) { return set_times_us(AT_FDCWD, r->rdi, r->rsi); }
i64 sys_futimesat(struct uregs *r) { return set_times_us((int)r->rdi, r->rsi, r->rdx); }

i64 sys_utime(struct uregs *r) {
  i64 secs[2];
  struct user_timespec t[2];
  if (r->rsi) {
    if (copy_from_user(secs, r->rsi, sizeof secs) < 0)
      return -EFAULT;
    t[0] = (struct user_timespec){secs[0], 0};
    t[1] = (struct user_timespec){secs[1], 0};
  }
  return set_times(AT_FDCWD, r->rdi, 0, r->rsi ? t : NULL);
}

/* ---- sizes ----------------------------------------------------------------------------- */

static int check_size_limit(u64 size) {
  if (size <= proc_current()->limits[RLIMIT_FSIZE].cur)
    return 0;
  signal_send_thread(thread_current(), SIGXFSZ, NULL);
  return -EFBIG;
}

static int check_size(struct inode *i, struct iattr *a) {
  int e;
  if (S_ISDIR(i->mode))
    return -EISDIR;
  if (!S_ISREG(i->mode))
    return -EINVAL;
  e = inode_permission(i, MAY_WRITE);
  return e < 0 ? e : check_size_limit(a->size);
}

i64 sys_truncate(struct uregs *r) {
  struct iattr a = {.valid = ATTR_SIZE, .size = r->rsi};
  if ((i64)r->rsi < 0)
    return -EINVAL;
  return apply_path(AT_FDCWD, r->rdi, 0, &a, check_size);
}

static i64 truncate_unseen(struct file *f, u64 size) {
  struct iattr a = {.valid = ATTR_SIZE, .size = size};
  int e;
  if ((f->flags & O_ACCMODE) == O_RDONLY)
    return -EINVAL;
  e = check_size_limit(size);
  if (e < 0)
    return e;
  if (f->ops->truncate)
    return f->ops->truncate(f, size);
  if (!f->inode || !S_ISREG(f->inode->mode))
    return -EINVAL;
  if (!f->inode->ops->setattr)
    return -EINVAL;
  mutex_lock(&f->inode->lock);
  e = f->inode->ops->setattr(f->inode, &a);
  mutex_unlock(&f->inode->lock);
  return e;
}

static i64 truncate_file(struct file *f, u64 size) {
  i64 e = truncate_unseen(f, size);
  if (e == 0)
    watch_file(f, IN_MODIFY);
  return e;
}

i64 sys_ftruncate(struct uregs *r) {
  struct file *f = fd_get((int)r->rdi);
  i64 e;
  if (!f)
    return -EBADF;
  e = (i64)r->rsi < 0 ? -EINVAL : truncate_file(f, r->rsi);
  file_put(f);
  return e;
}

/* Space is not reserved: only the size is made sure of. */
i64 sys_fallocate(struct uregs *r) {
  struct file *f = fd_get((int)r->rdi);
  struct kstat st;
  i64 end, e;
  if (!f)
    return -EBADF;
  if ((f->flags & O_ACCMODE) == O_RDONLY)
    e = -EBADF;
  else if ((i64)r->rdx < 0 || (i64)r->r10 <= 0)
    e = -EINVAL;
  else if (__builtin_add_overflow((i64)r->rdx, (i64)r->r10, &end))
    e = -EFBIG;
  else if (r->rsi != 0)
    e = -EOPNOTSUPP;
  else if (!f->inode || !S_ISREG(f->inode->mode))
    e = f->inode ? -ENODEV : -ESPIPE;
  else {
    e = file_getattr(f, &st);
    if (e == 0 && st.size < (u64)end)
      e = truncate_unseen(f, (u64)end);
    if (e == 0)
      watch_file(f, IN_MODIFY);
  }
  file_put(f);
  return e;
}
