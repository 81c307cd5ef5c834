/* SPDX-License-Identifier: MIT */
/* Kernel memory: frames, seen through the direct map. */
#include "kernel/plat.h"
#include "plat/pc/frames.h"

void *plat_pages_alloc(size_t n, size_t align) {
  paddr p = n == 1 && align <= PAGE_SIZE ? frame_alloc_zeroed() : frames_alloc_run(n, align);
  return p ? phys_ptr(p) : NULL;
}

void plat_pages_free(void *v, size_t n) {
  paddr p = phys_of(v);
  if (n == 1)
    frame_put(p);
  else
    frames_free_run(p, n);
}

u64 plat_mem_limit(void) { return frames_total(); }
u64 plat_mem_used(void) { return frames_used(); }
