/* SPDX-License-Identifier: MIT */
/*
 * What a debug kernel (LOCK_CHECK, `make DEBUG=1`) checks of locks while it runs: their order
 * (lock_order.def), that nobody sleeps or touches user memory with a spinlock held, that whoever
 * drops a lock has taken it, and that none is held on the way back to user code. A violation is a
 * kernel bug and ends the instance. All of it is nothing in other kernels.
 */
#ifndef UFORK_KERNEL_LOCK_CHECK_H
#define UFORK_KERNEL_LOCK_CHECK_H

#ifdef LOCK_CHECK
/* The running thread may sleep here: it holds no spinlock. */
void lock_check_sleep(void);
/* It touches user memory: no spinlock, and nothing that a fault may want. */
void lock_check_user(void);
/* It goes back to user code: no lock at all. */
void lock_check_none(void);
#else
static inline void lock_check_sleep(void) {}
static inline void lock_check_user(void) {}
static inline void lock_check_none(void) {}
#endif

#endif
