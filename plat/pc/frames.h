/* SPDX-License-Identifier: MIT */
/*
 * Page frames. All physical memory that the boot loader names as usable is handed out in frames of
 * PAGE_SIZE, or in contiguous runs for devices and large kernel objects. Every frame has a
 * reference count, so that fork can share frames and page-table pages.
 *
 * Locking: free lists are per CPU with a shared pool behind them (its own spinlock, innermost in
 * the lock order). All functions may be called in any context but interrupt handlers.
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
   overlap, the kernel image and the boot modules are already cut out. */
struct frame_range {
  paddr from, to;
};
void frames_init(const struct frame_range *ranges, unsigned n);

/* One frame with one reference, contents undefined (frame_alloc) or zero (frame_alloc_zeroed: taken
   from frames that idle CPUs have zeroed where possible). 0 when out of memory. */
paddr frame_alloc(void);
paddr frame_alloc_zeroed(void);
/* n contiguous frames aligned to `align` bytes, one reference each, zeroed; 0. */
paddr frames_alloc_run(size_t n, size_t align);
void frames_free_run(paddr p, size_t n);

void frame_get(paddr p);
/* Drops a reference; true if that was the last one and the frame is free again. */
bool frame_put(paddr p);
u32 frame_refs(paddr p);

/* Bytes. */
u64 frames_total(void), frames_used(void);

/* Idle CPUs call this: zeroes one frame ahead; false when enough are there. */
bool frames_zero_ahead(void);

#endif
