/* SPDX-License-Identifier: MIT */
/* /dev/pts: a node for each pseudo-terminal whose master is open. */
#include "kernel/fs/pty.h"
#include "kernel/proc/proc.h"
#include "lib/fmt.h"
#include "lib/string.h"

#define DEVPTS_MAGIC 0x1cd1
#define FIRST_INO 3UL /* of pair 0, as on Linux */

static struct super pts_super;
static struct inode root;

/* ---- nodes ----------------------------------------------------------------------------------- */

static int pts_setattr(struct inode *i, const struct iattr *a) {
  if (a->valid & ATTR_MODE)
    i->mode = (i->mode & S_IFMT) | (a->mode & 07777);
  if (a->valid & ATTR_UID)
    i->uid = a->uid;
  if (a->valid & ATTR_GID)
    i->gid = a->gid;
  return 0;
}

static int pts_statfs(struct inode *i, struct kstatfs *st) {
  (void)i;
  *st = (struct kstatfs){.type = DEVPTS_MAGIC, .bsize = PAGE_SIZE, .namelen = NAME_MAX};
  return 0;
}

static const struct inode_ops node_ops = {
    .setattr = pts_setattr, .statfs = pts_statfs, .release = pty_release_node};

void devpts_init_node(struct inode *i, int n) {
  const struct cred *c = &proc_current()->cred;
  inode_init(i, &pts_super, &node_ops, FIRST_INO + (u64)n, S_IFCHR | 0620);
  i->rdev = MAKEDEV(PTY_MAJOR, n);
  i->uid = c->fsuid;
  i->gid = c->fsgid;
}

/* ---- the directory --------------------------------------------------------------------------- */

/* A decimal number without sign or leading zeros, or -1. */
static int number_of(const char *name) {
  int n = 0;
  if (name[0] == '0' && name[1])
    return -1;
  for (; *name; name++) {
    if (*name < '0' || *name > '9' || n >= PTY_MAX)
      return -1;
    n = n * 10 + (*name - '0');
  }
  return n;
}

static int pts_lookup(struct inode *dir, const char *name, struct inode **out) {
  (void)dir;
  *out = pty_node(number_of(name));
  return *out ? 0 : -ENOENT;
}

/* Positions: 0 `.`, 1 `..`, then the number + 2. */
static int emit_next(struct file *f, struct uio *u) {
  char name[12];
  if (f->pos < 2) {
    int e = dirent_emit(u, root.ino, f->pos + 1, S_IFDIR, f->pos ? ".." : ".");
    f->pos += e == 0;
    return e;
  }
  int n = f->pos - 2 < PTY_MAX ? pty_next((int)f->pos - 2) : -1;
  if (n < 0)
    return 1;
  fmt(name, sizeof name, "%d", n);
  int e = dirent_emit(u, FIRST_INO + (u64)n, (u64)n + 3, S_IFCHR, name);
  if (e == 0)
    f->pos = (u64)n + 3;
  return e;
}

static i64 pts_readdir(struct file *f, struct uio *u) {
  u64 before = u->left;
  int e;
  do
    e = emit_next(f, u);
  while (e == 0);
  return before != u->left ? (i64)(before - u->left) : e < 0 ? e : 0;
}

static i64 pts_seek(struct file *f, i64 off, int whence) {
  return whence > 1 ? -EINVAL : seek_in_size(f, off, whence, 0);
}

static const struct file_ops dir_ops = {.name = "devpts", .seek = pts_seek, .readdir = pts_readdir};

static int pts_open(struct inode *i, struct file *f) {
  (void)i;
  f->ops = &dir_ops;
  return 0;
}

static void root_release(struct inode *i) { (void)i; /* mounted for ever */ }

static const struct inode_ops root_ops = {
    .lookup = pts_lookup, .open = pts_open, .statfs = pts_statfs, .release = root_release};

int devpts_boot(void) {
  struct dentry *at;
  super_init(&pts_super, "devpts", DEVPTS_MAGIC);
  pts_super.volatile_names = true;
  inode_init(&root, &pts_super, &root_ops, 1, S_IFDIR | 0755);
  int e = vfs_mkdir_p("/dev/pts", 0755);
  if (e == 0)
    e = path_walk(NULL, "/dev/pts", WALK_DIRECTORY, &at);
  if (e == 0) {
    e = vfs_mount(at, &root, "devpts", false);
    dentry_put(at);
  }
  return e;
}
