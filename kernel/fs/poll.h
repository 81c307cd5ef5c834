/* SPDX-License-Identifier: MIT */
/*
 * Waiting for several files. A poller is told every queue that may change an answer (poll_wait);
 * poll and select use a poll_set, whose entries wake the one thread that sleeps on it; epoll has
 * pollers of its own.
 */
#ifndef UFORK_KERNEL_POLL_H
#define UFORK_KERNEL_POLL_H

#include "kernel/fs/file.h"

struct poller {
  void (*add)(struct poller *p, struct waitq *q);
};

#define POLL_INLINE 12

struct poll_entry {
  struct waiter w;
  struct poll_set *set;
};

struct poll_chunk;
struct poll_set {
  struct poller poller;
  struct waitq q;
  bool triggered;
  int error; /* -ENOMEM: an entry could not be made */
  unsigned n;
  struct poll_entry entries[POLL_INLINE];
  struct poll_chunk *more;
};

void poll_set_init(struct poll_set *s);
/* Takes the entries out of all queues. */
void poll_set_destroy(struct poll_set *s);
/* Sleeps until an entry was woken since the last time, or the deadline: 0, -ERESTARTNOHAND,
   -ETIMEDOUT. */
int poll_set_wait(struct poll_set *s, u64 deadline);

/* Deadline of a relative timeout: NULL pointer (uaddr 0) is never. -EINVAL, -EFAULT. */
int poll_deadline_timespec(u64 uaddr, u64 *deadline);
/* Writes the time that is left back (select, ppoll); failure is ignored, as Linux does. */
void poll_store_left(u64 uaddr, u64 deadline, bool microseconds);

#endif
