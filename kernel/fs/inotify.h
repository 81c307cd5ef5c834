/* SPDX-License-Identifier: MIT */
/*
 * Shared by watch.c (watches and the queues of events) and inotify.c (the descriptor).
 *
 * Locks: watch_lock (watch.c) protects the hash of watches and the instances' lists of them; below
 * it instance->lock protects the queue of one instance. A watch keeps its inode, so that the number
 * stays the file's.
 */
#ifndef UFORK_KERNEL_INOTIFY_H
#define UFORK_KERNEL_INOTIFY_H

#include "kernel/fs/watch.h"

#define IN_ONLYDIR 0x01000000u
#define IN_DONT_FOLLOW 0x02000000u
#define IN_EXCL_UNLINK 0x04000000u
#define IN_MASK_CREATE 0x10000000u
#define IN_MASK_ADD 0x20000000u
#define IN_ONESHOT 0x80000000u
#define IN_KNOWN                                                                                   \
  (IN_ALL_EVENTS | IN_ONLYDIR | IN_DONT_FOLLOW | IN_EXCL_UNLINK | IN_MASK_CREATE | IN_MASK_ADD |   \
   IN_ONESHOT | IN_ISDIR | 0x2000u /* IN_UNMOUNT */ | IN_Q_OVERFLOW | IN_IGNORED)

/* Linux's defaults. */
#define INOTIFY_INSTANCES_MAX 128
#define INOTIFY_EVENTS_MAX 16384
#define INOTIFY_WATCHES_MAX 65536

/* struct inotify_event of the ABI; the name follows, padded with zeros to a multiple of its size.
 */
struct inotify_header {
  i32 wd;
  u32 mask, cookie, len;
};

struct inotify_event {
  struct list node;
  struct inotify_header h;
  char name[]; /* h.len bytes */
};

struct inotify {
  struct spin lock;
  struct list events;
  u32 n_events;
  u64 bytes; /* that the events take when they are read */
  struct waitq wq;
  struct list watches; /* watch_lock */
  u32 n_watches;
  int last_wd;
};

void inotify_init_queue(struct inotify *in);
/* The first event if it fits into `room` bytes; the caller frees it. *bytes: what it takes; 0:
   there is none. */
struct inotify_event *inotify_take(struct inotify *in, u64 room, u64 *bytes);
/* Adds or changes the watch of i: its number or -errno. mask: IN_*, checked. */
i64 inotify_watch(struct inotify *in, struct inode *i, u32 mask);
/* -EINVAL: there is no such watch. */
int inotify_unwatch(struct inotify *in, int wd);
/* Nobody uses it any more: ends all watches, frees all events. */
void inotify_empty(struct inotify *in);

#endif
