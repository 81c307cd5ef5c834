/* SPDX-License-Identifier: MIT */
/* Kernel memory: frames, seen through the direct map. */
#include "kernel/plat.h"
#include "plat/pc/frames.h"
#include "plat/pc/kstack.h"
#include "plat/pc/region.h"

static u64 pages_used;

void *plat_pages_alloc(size_t n, size_t align) {
  paddr p = n == 1 && align <= PAGE_SIZE ? frame_alloc_zeroed() : frames_alloc_run(n, align);
  if (p == 0)
    return NULL;
  __atomic_add_fetch(&pages_used, n, __ATOMIC_RELAXED);
  return phys_ptr(p);
}

void plat_pages_free(void *v, size_t n) {
  paddr p = phys_of(v);
  __atomic_sub_fetch(&pages_used, n, __ATOMIC_RELAXED);
  if (n == 1)
    frame_put(p);
  else
    frames_free_run(p, n);
}

u64 plat_mem_limit(void) { return frames_total(); }
u64 plat_mem_used(void) { return frames_used(); }
bool plat_mem_fits(u64 more) {
  u64 limit = frames_total(), used = frames_used();
  return used <= limit && more <= limit - used;
}

void plat_memory(struct plat_memory *m) {
  u64 kernel = (__atomic_load_n(&pages_used, __ATOMIC_RELAXED) + kstack_pages()) * PAGE_SIZE;
  u64 tables = tables_made() * PAGE_SIZE, used = frames_used();
  *m = (struct plat_memory){
      .kernel_bytes = kernel,
      .user_bytes = used > kernel + tables ? used - kernel - tables : 0,
      .table_bytes = tables,
      .regions = slots_in_use(),
      .warm_regions = regions_warm(),
  };
}
