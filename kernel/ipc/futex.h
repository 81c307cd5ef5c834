/* SPDX-License-Identifier: MIT */
/*
 * Futexes. A futex is known by a key: (space, offset), or for memory that spaces share (memory
 * object, offset in it). Sleepers hang in a hash table of buckets, each with a spinlock; two
 * buckets are locked in order of address.
 */
#ifndef UFORK_KERNEL_FUTEX_H
#define UFORK_KERNEL_FUTEX_H

#include "kernel/thread.h"

/* Wakes up to n waiters on user address uaddr of the running thread's space, as FUTEX_WAKE would
   for private and shared waiters. Errors (no memory there) are ignored: thread exit. */
void futex_wake_user(u64 uaddr, int n);

/* Robust list of the exiting running thread: marks every futex it still holds FUTEX_OWNER_DIED and
   wakes a waiter. The list is user memory and not trusted: it is followed a bounded number of
   steps. */
void futex_exit_robust(struct thread *t);

#endif
