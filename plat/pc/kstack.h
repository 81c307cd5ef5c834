/* SPDX-License-Identifier: MIT */
/*
 * Kernel stacks: the blocks of plat_thread_alloc (kernel/thread.h has their layout) lie from
 * STACK_LO on, each in an aligned range of its own whose lower half is never mapped. CPUs take the
 * same blocks for their interrupt stacks.
 */
#ifndef UFORK_PC_KSTACK_H
#define UFORK_PC_KSTACK_H

#include "kernel/thread.h"

/* Is all of [a, a + 16) in a stack that is mapped? Any context, without a lock: for a backtrace. */
bool kstack_holds(u64 a);
/* The block whose guard `a` is in, NULL: no such address. Any context. */
const struct thread *kstack_below(u64 a);
/* Frames of all blocks. */
u64 kstack_pages(void);
/* Gives back the memory of blocks that wait for the next thread. Context: thread. */
void kstack_drain(void);

#endif
