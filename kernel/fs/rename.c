/* SPDX-License-Identifier: MIT */
/*
 * rename. vfs_rename_lock keeps the shape of all trees still, so that the two directories can be
 * locked in a safe order and loops can be seen.
 */
#include "kernel/fs/cred.h"
#include "kernel/fs/namei.h"
#include "kernel/fs/watch.h"
#include "kernel/mm/kmalloc.h"
#include "kernel/syscall/syscall.h"
#include "lib/string.h"

/* Ancestors first, otherwise by address. */
static void lock_two(struct dentry *a, struct dentry *b) {
  struct inode *first = a->inode, *second = b->inode;
  if (first == second) {
    mutex_lock(&first->lock);
    return;
  }
  if (dentry_is_below(a, b) || (!dentry_is_below(b, a) && first > second)) {
    first = b->inode;
    second = a->inode;
  }
  mutex_lock(&first->lock);
  mutex_lock(&second->lock);
}

static void unlock_two(struct dentry *a, struct dentry *b) {
  mutex_unlock(&a->inode->lock);
  if (a->inode != b->inode)
    mutex_unlock(&b->inode->lock);
}

/* What the rename is about. new is NULL if the name is free. */
struct renaming {
  struct path_last *from, *to;
  struct dentry *old, *new_;
  u32 flags;
};

/* Only a directory may be named with a slash at the end. */
static int check_slashes(const struct renaming *m) {
  if ((m->flags & RENAME_EXCHANGE) && !S_ISDIR(m->new_->inode->mode) && m->to->trailing_slash)
    return -ENOTDIR;
  if (S_ISDIR(m->old->inode->mode))
    return 0;
  if (m->from->trailing_slash || (!(m->flags & RENAME_EXCHANGE) && m->to->trailing_slash))
    return -ENOTDIR;
  return 0;
}

static int check_types(const struct renaming *m) {
  bool dir = S_ISDIR(m->old->inode->mode);
  if (!m->new_ || (m->flags & RENAME_EXCHANGE))
    return 0;
  if (dir && !S_ISDIR(m->new_->inode->mode))
    return -ENOTDIR;
  return !dir && S_ISDIR(m->new_->inode->mode) ? -EISDIR : 0;
}

/* Moving a directory below itself would cut it off. */
static int check_loops(const struct renaming *m) {
  if (dentry_is_below(m->to->dir, m->old))
    return -EINVAL;
  if (m->new_ && dentry_is_below(m->from->dir, m->new_))
    return (m->flags & RENAME_EXCHANGE) ? -EINVAL : -ENOTEMPTY;
  return 0;
}

static int check_permissions(const struct renaming *m) {
  int e = namei_may_remove(m->from->dir, m->old);
  if (e == 0)
    e = m->new_ ? namei_may_remove(m->to->dir, m->new_) : namei_may_change(m->to->dir);
  if (e == 0 && S_ISDIR(m->old->inode->mode) && m->from->dir != m->to->dir)
    e = inode_permission(m->old->inode, MAY_WRITE);
  return e;
}

/* In Linux's order. 1: there is nothing to do, both names are one file. */
static int check(const struct renaming *m) {
  int e;
  if (m->new_ && (m->flags & RENAME_NOREPLACE))
    return -EEXIST;
  if (!m->new_ && (m->flags & RENAME_EXCHANGE))
    return -ENOENT;
  e = check_slashes(m);
  if (e == 0)
    e = check_loops(m);
  if (e == 0 && m->new_ && m->new_->inode == m->old->inode)
    return 1;
  if (e == 0)
    e = check_permissions(m);
  return e < 0 ? e : check_types(m);
}

static int exchange_dentries(const struct renaming *m) {
  int e = dentry_move(m->new_, m->from->dir, m->from->name);
  return e < 0 ? e : dentry_move(m->old, m->to->dir, m->to->name);
}

/* The file system has done it: the names follow. A name that cannot be stored for want of memory
   is dropped and looked up again. */
static void move_dentries(const struct renaming *m) {
  int e;
  if (m->flags & RENAME_EXCHANGE) {
    e = exchange_dentries(m);
  } else {
    if (m->new_)
      dentry_delete(m->new_);
    e = dentry_move(m->old, m->to->dir, m->to->name);
  }
  if (e < 0)
    dentry_delete(m->old);
}

static void tell_watches(const struct renaming *m) {
  struct inode *there = m->new_ ? m->new_->inode : NULL;
  bool exchange = m->flags & RENAME_EXCHANGE;
  watch_renamed(m->from->dir, m->from->name, m->to->dir, m->to->name, m->old->inode,
                exchange ? NULL : there);
  if (exchange)
    watch_renamed(m->to->dir, m->to->name, m->from->dir, m->from->name, there, NULL);
}

static int carry_out(const struct renaming *m) {
  struct inode *dir = m->from->dir->inode;
  struct inode *gone = m->new_ && S_ISDIR(m->new_->inode->mode) ? m->new_->inode : NULL;
  int e;
  if (!dir->ops->rename)
    return -EPERM;
  if (gone)
    mutex_lock(&gone->lock);
  e = dir->ops->rename(dir, m->from->name, m->to->dir->inode, m->to->name, m->flags);
  if (e == 0)
    move_dentries(m);
  if (gone)
    mutex_unlock(&gone->lock);
  if (e == 0 && watch_any())
    tell_watches(m);
  return e;
}

static int rename_locked(struct renaming *m) {
  int e = dentry_child(m->from->dir, m->from->name, &m->old);
  if (e < 0)
    return e;
  e = dentry_child(m->to->dir, m->to->name, &m->new_);
  if (e < 0 && e != -ENOENT)
    return e;
  e = check(m);
  if (e == 0)
    e = carry_out(m);
  return e < 0 ? e : 0;
}

static int rename_lasts(struct path_last *from, struct path_last *to, u32 flags) {
  struct renaming m = {.from = from, .to = to, .flags = flags};
  int e;
  if (from->dir->mnt != to->dir->mnt || from->dir->inode->super != to->dir->inode->super)
    return -EXDEV;
  if (from->special)
    return -EBUSY;
  if (to->special)
    return (flags & RENAME_NOREPLACE) ? -EEXIST : -EBUSY;
  mutex_lock(&vfs_rename_lock);
  lock_two(from->dir, to->dir);
  e = rename_locked(&m);
  unlock_two(from->dir, to->dir);
  mutex_unlock(&vfs_rename_lock);
  dentry_put(m.old);
  dentry_put(m.new_);
  return e;
}

static int last_of(int dirfd, const struct pathname *p, struct path_last *l) {
  struct dentry *start;
  int e = path_start(dirfd, p->s, &start);
  if (e < 0)
    return e;
  e = path_walk_last(start, p->s, 0, l);
  dentry_put(start);
  return e;
}

static int rename_paths(int from_dir, const struct pathname *a, int to_dir,
                        const struct pathname *b, u32 flags) {
  struct path_last *l = kmalloc(2 * sizeof *l);
  int e = l ? last_of(from_dir, a, &l[0]) : -ENOMEM;
  if (e == 0) {
    e = b->s[0] ? last_of(to_dir, b, &l[1]) : -ENOENT;
    if (e == 0) {
      e = rename_lasts(&l[0], &l[1], flags);
      path_last_put(&l[1]);
    }
    path_last_put(&l[0]);
  }
  kfree(l);
  return e;
}

static i64 rename_user(int from_dir, u64 from, int to_dir, u64 to, u32 flags) {
  struct pathname a, b;
  int e;
  if ((flags & ~(u32)(RENAME_NOREPLACE | RENAME_EXCHANGE)) ||
      flags == (RENAME_NOREPLACE | RENAME_EXCHANGE))
    return -EINVAL;
  e = pathname_get(&a, from);
  if (e < 0)
    return e;
  e = pathname_get_empty_ok(&b, to);
  if (e == 0) {
    e = rename_paths(from_dir, &a, to_dir, &b, flags);
    pathname_put(&b);
  }
  pathname_put(&a);
  return e;
}

i64 sys_rename(struct uregs *r) { return rename_user(AT_FDCWD, r->rdi, AT_FDCWD, r->rsi, 0); }
i64 sys_renameat(struct uregs *r) {
  return rename_user((int)r->rdi, r->rsi, (int)r->rdx, r->r10, 0);
}
i64 sys_renameat2(struct uregs *r) {
  return rename_user((int)r->rdi, r->rsi, (int)r->rdx, r->r10, (u32)r->r8);
}
