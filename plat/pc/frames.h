/* SPDX-License-Identifier: MIT */
/*
 * Page frames. All physical memory that the boot loader names as usable is handed out in frames of
 * PAGE_SIZE, or in contiguous runs for devices and large kernel objects. Every frame has a
 * reference count, so that fork can share frames.
 *
 * Behind it: a buddy allocator (shared, under one spinlock, innermost in the lock order), in front
 * of it two small stacks per CPU, of frames with any contents and of zeroed ones, which need no
 * lock because the kernel is not preempted. Frames known to be zero never meet the others again
 * until they are handed out, so that their zeroing is paid for once.
 *
 * All functions may be called in any context but interrupt handlers. The CPU is that of
 * thread_current(): until threads exist, the boot stack must be in a thread's block
 * (kernel/thread.h) whose struct thread says CPU 0.
 */
#ifndef UFORK_PC_FRAMES_H
#define UFORK_PC_FRAMES_H

#include "lib/types.h"
#include "plat/pc/layout.h"

typedef u64 paddr; /* physical address */

static inline void *phys_ptr(paddr p) { return (void *)(p + DIRECT_LO); }
/* Of an address in the direct map or in the kernel image. */
static inline paddr phys_of(const void *v) {
  u64 a = (u64)v;
  return a >= KERNEL_LO ? a - KERNEL_LO + KERNEL_PHYS : a - DIRECT_LO;
}

/* Usable physical memory, given once at boot before anything else here is called; ranges do not
   overlap, the kernel image and the boot modules are already cut out. Page 0 is never used. Takes
   1/256 of the memory below `top` (or the ranges' end) for its books, out of the first range that
   is large enough (it must be reachable). Memory from 4 GiB on is given out by frames_init_high
   only, which pagetable_init calls; `ranges` must be there until then. */
struct frame_range {
  paddr from, to;
};
void frames_init(const struct frame_range *ranges, unsigned n, paddr top);
void frames_init_high(void);
/* Whole frames of [from, to), below `top`, are usable from now on as well. */
void frames_add(paddr from, paddr to);

/* One frame with one reference, contents undefined (frame_alloc) or zero (frame_alloc_zeroed: taken
   from frames that are known to be zero where possible). 0 when out of memory. */
paddr frame_alloc(void);
paddr frame_alloc_zeroed(void);
/* Gives back a frame with one reference whose bytes are all zero. */
void frame_free_zeroed(paddr p);

/* n contiguous frames aligned to `align` bytes (a power of two), one reference each, zeroed; 0. */
paddr frames_alloc_run(size_t n, size_t align);
void frames_free_run(paddr p, size_t n);

void frame_get(paddr p);
/* Drops a reference; true if that was the last one and the frame is free again. */
bool frame_put(paddr p);
u32 frame_refs(paddr p);

/* The one frame that always reads as zeros; nobody writes to it or counts its references. */
paddr frame_of_zeros(void);

/* A pointer that the owner of an allocated frame may leave with it (page tables: their struct). */
void frame_set_owner(paddr p, void *owner);
void *frame_owner(paddr p);

/* Bytes. What the per-CPU stacks hold is free. */
u64 frames_total(void), frames_used(void);
/* Is so little left that processes could soon find no frame for what they write first? */
bool frames_scarce(void);

/* Gives back what the calling CPU's stacks hold, and the frames known to be zero. */
void frames_drain(void);

/* Idle CPUs call this: zeroes one frame ahead; false when enough are there. */
bool frames_zero_ahead(void);

#endif
