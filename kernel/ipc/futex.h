/* SPDX-License-Identifier: MIT */
/*
 * Futexes. A futex is known by a key: (space, offset), or for memory that spaces share (memory
 * object, offset in it). Sleepers hang in a hash table of buckets, each with a spinlock; two
 * buckets are locked in order of address.
 */
#ifndef UFORK_KERNEL_FUTEX_H
#define UFORK_KERNEL_FUTEX_H

#include "kernel/thread.h"

/* Of a word that holds an owner's thread id. */
#define FUTEX_WAITERS 0x80000000u
#define FUTEX_OWNER_DIED 0x40000000u
#define FUTEX_TID_MASK 0x3fffffffu
#define FUTEX_BITSET_ANY 0xffffffffu

/* Sleeps while the word is `expected`, until woken by somebody whose bits meet `bits`: 0, -EAGAIN
   the word differs, -ETIMEDOUT at `deadline`, -ERESTARTSYS by a signal, -EFAULT, -EINVAL. */
i64 futex_wait(u64 uaddr, bool private, u32 expected, u64 deadline, u32 bits);
/* Wakes up to n such sleepers, at least one; returns how many. */
i64 futex_wake(u64 uaddr, bool private, int n, u32 bits);

/* FUTEX_LOCK_PI and the like (futex_pi.c), with Linux's errors: -EDEADLK, -ESRCH if the owner is no
   thread, -EPERM for unlocking what another has, -EAGAIN from trylock. */
i64 futex_lock_pi(u64 uaddr, bool private, u64 deadline);
i64 futex_trylock_pi(u64 uaddr);
i64 futex_unlock_pi(u64 uaddr, bool private);

/* Wakes up to n waiters on user address uaddr of the running thread's space, as FUTEX_WAKE would
   for private and shared waiters. Errors (no memory there) are ignored: thread exit. */
void futex_wake_user(u64 uaddr, int n);

/* Robust list of the exiting running thread: marks every futex it still holds FUTEX_OWNER_DIED and
   wakes a waiter. The list is user memory and not trusted: it is followed a bounded number of
   steps. */
void futex_exit_robust(struct thread *t);

#endif
