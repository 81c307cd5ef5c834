/* SPDX-License-Identifier: MIT */
/* The calls of 9P2000.L that the file system makes, one function each. 0 or a count, or -errno. */
#ifndef UFORK_PC_P9_OPS_H
#define UFORK_PC_P9_OPS_H

#include "plat/pc/p9/client.h"

struct iattr;
struct kstatfs;
struct uio;

/* Attributes of an object as the server has them; everything has been checked for plausibility. */
struct p9_attr {
  struct p9_qid qid;
  u32 mode, uid, gid;
  u64 nlink, rdev, size, blksize, blocks;
  i64 atime, mtime, ctime; /* nanoseconds */
};

int p9_attach(struct p9 *s, u32 uid, struct p9_fid **out);
/* name NULL: another fid for the same object. -ENOENT. */
int p9_walk(struct p9_fid *from, const char *name, struct p9_fid **out, struct p9_qid *qid);
int p9_getattr(struct p9_fid *f, struct p9_attr *a);
int p9_setattr(struct p9_fid *f, const struct iattr *a);
int p9_statfs(struct p9_fid *f, struct kstatfs *st);
int p9_fsync(struct p9_fid *f, bool data_only);
i64 p9_readlink(struct p9_fid *f, char *buf, size_t size);

/* f becomes an open file. flags: Linux's, as the protocol uses them. */
int p9_open(struct p9_fid *f, u32 flags, struct p9_qid *qid);
/* f, a directory, becomes the open new file. */
int p9_create(struct p9_fid *f, const char *name, u32 flags, u32 mode, u32 gid);

int p9_mkdir(struct p9_fid *dir, const char *name, u32 mode, u32 gid);
int p9_mknod(struct p9_fid *dir, const char *name, u32 mode, u32 gid);
int p9_symlink(struct p9_fid *dir, const char *name, const char *target, u32 gid);
int p9_link(struct p9_fid *dir, const char *name, struct p9_fid *target);
int p9_unlink(struct p9_fid *dir, const char *name, bool directory);
int p9_rename(struct p9_fid *olddir, const char *oldname, struct p9_fid *newdir,
              const char *newname);

/* One message: bytes moved, 0 at the end of the file. */
i64 p9_read(struct p9_fid *f, u64 pos, struct uio *u);
/* Takes up to one message's worth from u and writes all of it; a short count only if the server has
   written some and then failed. */
i64 p9_write(struct p9_fid *f, u64 pos, struct uio *u);

struct p9_entry {
  struct p9_qid qid;
  u64 next;
  u8 type; /* DT_* */
  char name[256];
};
/* Calls emit for the entries from `pos` on that one message of about `size` bytes holds, until it
   returns other than 0 (which is returned). Number of entries, 0 at the end. */
i64 p9_readdir(struct p9_fid *f, u64 pos, u64 size,
               int (*emit)(void *arg, const struct p9_entry *e), void *arg);

#endif
