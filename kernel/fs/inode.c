/* SPDX-License-Identifier: MIT */
/* Inodes: life, attributes, permissions. */
#include "kernel/fs/cred.h"
#include "kernel/fs/flock.h"
#include "kernel/fs/vfs.h"
#include "kernel/ipc/pipe.h"

static u64 next_ino = 1;
static u64 next_dev = 16;

void super_init(struct super *s, const char *type, u64 magic) {
  s->type = type;
  s->magic = magic;
  s->dev = MAKEDEV(0, __atomic_fetch_add(&next_dev, 1, __ATOMIC_RELAXED));
}

u64 anon_ino(void) { return __atomic_fetch_add(&next_ino, 1, __ATOMIC_RELAXED); }

void anon_stat(struct kstat *st, u64 ino, u32 mode) {
  *st = (struct kstat){.dev = MAKEDEV(0, 9), .ino = ino, .mode = mode, .nlink = 1, .blksize = 4096};
}

void inode_init(struct inode *i, struct super *s, const struct inode_ops *ops, u64 ino, u32 mode) {
  i->refs = 1;
  i->mode = mode;
  i->uid = i->gid = 0;
  i->ops = ops;
  i->super = s;
  i->ino = ino;
  i->rdev = 0;
  mutex_init(&i->lock);
  i->locks = NULL;
  i->ipc = NULL;
}

struct inode *inode_get(struct inode *i) {
  __atomic_fetch_add(&i->refs, 1, __ATOMIC_RELAXED);
  return i;
}

void inode_put(struct inode *i) {
  if (!i || __atomic_sub_fetch(&i->refs, 1, __ATOMIC_ACQ_REL) != 0)
    return;
  flock_free_table(i->locks);
  if (i->ipc && S_ISFIFO(i->mode))
    pipe_put(i->ipc);
  i->ops->release(i);
}

int inode_getattr(struct inode *i, struct kstat *st) {
  if (i->ops->getattr)
    return i->ops->getattr(i, st);
  *st = (struct kstat){.dev = i->super->dev,
                       .ino = i->ino,
                       .rdev = i->rdev,
                       .mode = i->mode,
                       .nlink = S_ISDIR(i->mode) ? 2 : 1,
                       .uid = i->uid,
                       .gid = i->gid,
                       .blksize = 4096};
  return 0;
}

bool cred_in_group(const struct cred *c, u32 gid) {
  if (c->fsgid == gid)
    return true;
  for (u32 k = 0; k < c->ngroups; k++)
    if (c->groups[k] == gid)
      return true;
  return false;
}

/* Root reads and writes everything, and executes what anybody may execute. */
static int root_permission(const struct inode *i, u32 may) {
  if ((may & MAY_EXEC) && !S_ISDIR(i->mode) && !(i->mode & 0111))
    return -EACCES;
  return 0;
}

int inode_permission_as(const struct inode *i, const struct cred *c, u32 may) {
  u32 bits = i->mode;
  if (!c || c->fsuid == 0)
    return root_permission(i, may);
  if (c->fsuid == i->uid)
    bits >>= 6;
  else if (cred_in_group(c, i->gid))
    bits >>= 3;
  return (bits & may) == may ? 0 : -EACCES;
}

int inode_permission(struct inode *i, u32 may) {
  return inode_permission_as(i, cred_running(), may);
}
