/* SPDX-License-Identifier: MIT */
/*
 * Advisory locks: POSIX record locks (owned by a descriptor table), open-file-description locks and
 * flock (owned by an open file). All in the inode's lock_table, made on first use.
 */
#ifndef UFORK_KERNEL_FLOCK_H
#define UFORK_KERNEL_FLOCK_H

#include "kernel/fs/vfs.h"

/* fcntl F_GETLK, F_SETLK, F_SETLKW and their OFD variants; arg: user struct flock. */
i64 flock_fcntl(struct file *f, u32 cmd, u64 arg);
/* A descriptor of table `owner` on f is closed: its record locks on the inode go. */
void flock_close(struct file *f, void *owner);
/* The open file is gone: its flock and OFD locks go. */
void flock_release(struct file *f);
void flock_free_table(struct lock_table *t);

#endif
