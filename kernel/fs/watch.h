/* SPDX-License-Identifier: MIT */
/*
 * What happens to files, told to whoever watches them (inotify.c). The places where the core
 * opens, reads, writes, closes, makes, removes, renames and changes files call these; while nobody
 * watches anything that is one load.
 *
 * A file is known by file system and inode number, so it does not matter that some file systems
 * make a new struct inode at each look-up. Changes that come from elsewhere (on a host directory,
 * by others than this instance) are not seen.
 */
#ifndef UFORK_KERNEL_WATCH_H
#define UFORK_KERNEL_WATCH_H

#include "kernel/fs/vfs.h"

#define IN_ACCESS 0x1u
#define IN_MODIFY 0x2u
#define IN_ATTRIB 0x4u
#define IN_CLOSE_WRITE 0x8u
#define IN_CLOSE_NOWRITE 0x10u
#define IN_OPEN 0x20u
#define IN_MOVED_FROM 0x40u
#define IN_MOVED_TO 0x80u
#define IN_CREATE 0x100u
#define IN_DELETE 0x200u
#define IN_DELETE_SELF 0x400u
#define IN_MOVE_SELF 0x800u
#define IN_ALL_EVENTS 0xfffu
#define IN_Q_OVERFLOW 0x4000u
#define IN_IGNORED 0x8000u
#define IN_ISDIR 0x40000000u

extern u32 watch_count; /* watches there are; inotify.c */

static inline bool watch_any(void) {
  return unlikely(__atomic_load_n(&watch_count, __ATOMIC_RELAXED) != 0);
}

/* Tells the watches of i. name: of the child that it is about, or NULL. IN_ISDIR is the caller's
   where there is a name. May be called with mutexes held, not with spinlocks. */
void watch_inode(struct inode *i, u32 mask, const char *name, u32 cookie);
/* d, not a name in its directory, changed: tells the watches of its directory, with its name, and
   its own. */
void watch_dentry(struct dentry *d, u32 mask);
/* `moved` was renamed from one directory to another, which may be the same; both are locked.
   replaced: what had the new name before, or NULL. */
void watch_renamed(struct dentry *from, const char *old_name, struct dentry *to,
                   const char *new_name, struct inode *moved, struct inode *replaced);
/* Nobody uses d any more and its name is gone: if that was its last, its watches end. */
void watch_gone(struct inode *i);

static inline void watch_file(struct file *f, u32 mask) {
  if (watch_any() && f->dentry && !(f->flags & O_PATH))
    watch_dentry(f->dentry, mask);
}

/* name appeared in or vanished from directory dir. */
static inline void watch_child(struct dentry *dir, u32 mask, const char *name, u32 mode) {
  if (watch_any())
    watch_inode(dir->inode, mask | (S_ISDIR(mode) ? IN_ISDIR : 0), name, 0);
}

#endif
