/* SPDX-License-Identifier: MIT */
#include "plat/pc/tlb.h"
#include "kernel/thread.h"
#include "lib/spin.h"
#include "plat/pc/region.h"

static u64 generation;        /* atomic */
static u64 flushed[MAX_CPUS]; /* generation of each CPU's last complete flush; its own */

/* The shootdown under way; one at a time. */
static struct spin shootdown_lock;
static struct {
  u64 va, pages; /* pages 0: everything */
  bool global;
} request;

static unsigned self(void) { return thread_current()->cpu % MAX_CPUS; }

u64 tlb_new_generation(void) { return __atomic_add_fetch(&generation, 1, __ATOMIC_SEQ_CST); }

static void flush_all(void) {
  flushed[self()] = __atomic_load_n(&generation, __ATOMIC_SEQ_CST);
  tlb_invalidate_all();
}

/* ---- coming and going ------------------------------------------------------------------------ */

bool tlb_behind(const struct region *r) {
  return flushed[self()] < __atomic_load_n(&r->tlb.need, __ATOMIC_SEQ_CST);
}

void tlb_enter(struct region *r) {
  u64 bit = 1UL << self();
  if (!(__atomic_load_n(&r->tlb.ran, __ATOMIC_RELAXED) & bit))
    __atomic_or_fetch(&r->tlb.ran, bit, __ATOMIC_SEQ_CST);
  /* A flush either sees this bit or has left its generation. */
  __atomic_or_fetch(&r->tlb.active, bit, __ATOMIC_SEQ_CST);
  if (unlikely(tlb_behind(r)))
    flush_all();
}

void tlb_leave(struct region *r) {
  __atomic_and_fetch(&r->tlb.active, ~(1UL << self()), __ATOMIC_SEQ_CST);
}

/* ---- flushing -------------------------------------------------------------------------------- */

static void invalidate_range(u64 va, u64 pages) {
  for (; pages > 0; pages--, va += PAGE_SIZE)
    tlb_invalidate(va);
}

void tlb_shootdown_self(void) {
  if (request.pages)
    invalidate_range(request.va, request.pages);
  else if (request.global)
    tlb_invalidate_more();
  else
    tlb_invalidate_all();
}

static void shoot(u64 cpus, u64 va, u64 pages, bool global) {
  if (cpus == 0)
    return;
  spin_lock(&shootdown_lock);
  request.va = va;
  request.pages = pages <= TLB_SINGLE_MAX ? pages : 0;
  request.global = global;
  smp_tlb_shootdown(cpus);
  spin_unlock(&shootdown_lock);
}

static void flush_others(struct region *r, u64 va, u64 pages) {
  u64 bit = 1UL << self();
  if (likely((__atomic_load_n(&r->tlb.ran, __ATOMIC_SEQ_CST) & ~bit) == 0))
    return;
  __atomic_store_n(&r->tlb.need, tlb_new_generation(), __ATOMIC_SEQ_CST);
  shoot(__atomic_load_n(&r->tlb.active, __ATOMIC_SEQ_CST) & ~bit, va, pages, false);
}

static bool ran_here(const struct region *r) {
  return __atomic_load_n(&r->tlb.ran, __ATOMIC_RELAXED) >> self() & 1;
}

void tlb_flush_range(struct region *r, u64 va, u64 pages) {
  if (ran_here(r)) {
    if (pages <= TLB_SINGLE_MAX)
      invalidate_range(va, pages);
    else
      flush_all();
  }
  flush_others(r, va, pages);
}

void tlb_flush_region(struct region *r) {
  if (ran_here(r))
    flush_all();
  flush_others(r, 0, 0);
}

void tlb_flush_global(u64 va, u64 pages) {
  u64 all = plat_ncpus() >= 64 ? ~0UL : (1UL << plat_ncpus()) - 1;
  if (pages <= TLB_SINGLE_MAX)
    invalidate_range(va, pages);
  else
    tlb_invalidate_more();
  shoot(all & ~(1UL << self()), va, pages, true);
}
