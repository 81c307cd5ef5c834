/* SPDX-License-Identifier: MIT */
/* Files in memory: `/`, /dev, memfd. */
#ifndef UFORK_KERNEL_TMPFS_H
#define UFORK_KERNEL_TMPFS_H

#include "kernel/fs/vfs.h"

#define TMPFS_MAGIC 0x01021994

/* Regular files of at most this many bytes live in the kernel heap, larger ones in a memobj. */
#define TMPFS_SMALL 4096u

struct tmp_entry; /* tmpfs_dir.c */

struct tmp_inode {
  struct inode inode; /* inode.lock protects everything below */
  u32 nlink;
  i64 atime, mtime, ctime, btime;
  u64 version; /* content changes so far */
  union {
    struct { /* directory */
      struct list entries;
      struct tmp_entry **buckets;
      u32 nbuckets, nentries;
      u64 next_cookie;
      u64 parent_ino;
    } dir;
    struct { /* regular file */
      u64 size;
      u8 *small; /* TMPFS_SMALL bytes capacity in powers of two; NULL: empty or obj */
      u32 small_cap;
      struct memobj *obj;
      u32 seals;   /* F_SEAL_* */
      u32 maps;    /* shared mappings that can be written or made so; atomic */
      u64 charged; /* bytes of obj that may have page frames; a multiple of PAGE_SIZE */
    } reg;
    char *target; /* symbolic link */
  };
};

static inline struct tmp_inode *tmp_inode(struct inode *i) {
  return container_of(i, struct tmp_inode, inode);
}

/* A new tree: its root directory, one reference. NULL: no memory. */
struct inode *tmpfs_create(struct super *s, u32 mode);
/* Bytes of page frames that files of all trees may occupy, for the memory limit. */
u64 tmpfs_bytes_used(void);
/* A file without a name (memfd), owned by the running process. */
struct inode *tmpfs_new_file(u32 mode);

/* ---- between the tmpfs files ---- */

/* A fresh inode without links, owned by the running process. */
struct tmp_inode *tmp_inode_alloc(struct super *s, u32 mode);
void tmp_touch(struct tmp_inode *t); /* mtime and ctime, now */

/* tmpfs_dir.c */
extern const struct file_ops tmp_dir_ops;
int tmp_dir_find(struct tmp_inode *dir, const char *name, struct tmp_inode **out);
int tmp_dir_add(struct tmp_inode *dir, const char *name, struct tmp_inode *child);
int tmp_dir_remove(struct tmp_inode *dir, const char *name); /* drops the entry's reference */
/* Makes the entry lead to another inode (references move). */
int tmp_dir_replace(struct tmp_inode *dir, const char *name, struct tmp_inode *child);
void tmp_dir_free(struct tmp_inode *dir);

/* tmpfs_file.c */
extern const struct file_ops tmp_file_ops;
/* fcntl F_ADD_SEALS and F_GET_SEALS on any file; -EINVAL if it is none of tmpfs. */
#define F_SEAL_SEAL 1u
#define F_SEAL_SHRINK 2u
#define F_SEAL_GROW 4u
#define F_SEAL_WRITE 8u
#define F_SEAL_FUTURE_WRITE 0x10u
#define F_SEAL_EXEC 0x20u
i64 tmp_add_seals(struct file *f, u64 seals);
i64 tmp_get_seals(struct file *f);
int tmp_file_resize(struct tmp_inode *t, u64 size);
void tmp_file_free(struct tmp_inode *t);

#endif
