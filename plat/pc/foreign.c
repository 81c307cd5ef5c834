/* SPDX-License-Identifier: MIT */
/* Copies between the kernel and regions: pages that are missing, regions of others. */
#include "plat/pc/cpu.h"
#include "plat/pc/reclaim.h"

/* The running thread's region keeps its own place among the active ones. */
struct region *foreign_begin(const void *user) {
  struct region *r = region_at((u64)user);
  if (r == NULL || r == thread_current()->region)
    return NULL;
  tlb_enter(r);
  return r;
}

void foreign_end(struct region *foreign) { tlb_leave(foreign->tlb); }

bool user_page(struct region *foreign, u64 addr, bool write) {
  struct thread *t = thread_current();
  struct region *r = foreign ? foreign : t->region;
  u64 off = r ? addr - region_base(r) : UF_REGION_SIZE;
  u32 page = (u32)off & (u32)PAGE_MASK;
  if (off >= UF_REGION_SIZE)
    return !foreign && user_fault(addr, write);
  enum fault_result result = reclaim_touch(r, page, write);
  /* Both sides of a copy may be user memory (mremap): what failed may be the reading one. */
  if (result == FAULT_REFUSED && write && !region_allows(r, page, true))
    result = reclaim_touch(r, page, false);
  if (result == FAULT_REFUSED)
    return !foreign && user_fault(addr, write);
  return result == FAULT_DONE;
}
