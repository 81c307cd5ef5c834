/* SPDX-License-Identifier: MIT */
/* cpio archives in the "newc" format (070701): what a boot loader brings as root file system. */
#ifndef UFORK_KERNEL_CPIO_H
#define UFORK_KERNEL_CPIO_H

#include "kernel/fs/vfs.h"

struct cpio_entry {
  const char *name; /* with its NUL, inside the archive; without leading `/` and `./` */
  const void *data; /* size bytes */
  u64 size;
  u32 mode, uid, gid, nlink, ino;
  u32 mtime;
  u32 rdev_major, rdev_minor;
};

/* Reads the entry at *at of an archive of n bytes and moves *at behind it. 1: an entry; 0: the end
   (the trailer, or zeros up to the end); -EINVAL: not an archive, or cut short. Nothing outside
   [archive, archive + n) is read. */
int cpio_next(const void *archive, u64 n, u64 *at, struct cpio_entry *e);

/* Creates what the archive holds, in `/`. Names with `..` are refused. Parents that are missing are
   made. -EINVAL, -ENOMEM... */
int cpio_unpack(const void *archive, u64 n);

#endif
