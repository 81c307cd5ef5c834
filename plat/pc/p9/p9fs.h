/* SPDX-License-Identifier: MIT */
/*
 * Host directories through 9P as file systems (plat_hostfs of this platform).
 *
 * An inode holds a fid of its object. Servers differ in what a fid is: some hold the object, QEMU
 * holds its path. So a fid is only trusted to lead to the object while the name it was walked to is
 * believed to exist: every lookup gives the inode a fresh fid, and the server's answers must prove
 * (by qid) that they are about this object.
 */
#ifndef UFORK_PC_P9FS_H
#define UFORK_PC_P9FS_H

#include "kernel/fs/vfs.h"
#include "plat/pc/p9/ops.h"

struct p9_super {
  struct super super;
  struct p9 *session;
  u32 uid, gid; /* owner of the export: whoever runs the server; shown as root */
};

struct p9_inode {
  struct inode inode;
  struct list node; /* live inodes by number, so that an object has one inode */
  struct spin lock; /* the rest */
  struct p9_fid *fid;
  bool gone;           /* its last name has been removed */
  struct p9_attr last; /* as the server last said; what is left to say once it is gone */
};

static inline struct p9_inode *p9_inode_of(struct inode *i) {
  return container_of(i, struct p9_inode, inode);
}

/* The inode's fid, with a reference. */
struct p9_fid *p9_inode_fid(struct p9_inode *n);
/* Attributes, noted in the inode; asked for by the inode's fid, or by `open` (the fid of an open
   file of it, or NULL) if that leads elsewhere by now. Those of a file that the server cannot name
   any more are the last known ones. */
int p9_inode_stat(struct p9_inode *n, struct p9_fid *open, struct kstat *st);
/* setattr, by the same fids; inode's lock held. -ESTALE: neither leads to the object any more. */
int p9_inode_set(struct p9_inode *n, struct p9_fid *open, const struct iattr *a);
/* Bytes up to `end` exist: they have been written or read. */
void p9_inode_reaches(struct p9_inode *n, u64 end);

extern const struct file_ops p9_file_ops, p9_dir_ops; /* f->priv: the open fid, owned */

#endif
