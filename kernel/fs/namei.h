/* SPDX-License-Identifier: MIT */
/* Checks that making, removing and renaming share, and names made by the kernel itself. */
#ifndef UFORK_KERNEL_NAMEI_H
#define UFORK_KERNEL_NAMEI_H

#include "kernel/fs/vfs.h"

bool dentry_read_only(const struct dentry *d);
/* May the running process add names to directory dir? 0, -ENOENT (removed), -EROFS, -EACCES. */
int namei_may_change(struct dentry *dir);
/* May it take victim out of dir? Also -EPERM (sticky bit), -EBUSY (mount point). */
int namei_may_remove(struct dentry *dir, struct dentry *victim);

int vfs_mknod(const char *path, u32 mode, u64 rdev);
int vfs_symlink(const char *path, const char *target);
int vfs_link(const char *existing, const char *path);

#endif
