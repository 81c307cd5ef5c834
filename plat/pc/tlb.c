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

static bool behind(const struct region_tlb *t) {
  return __atomic_load_n(&t->stale, __ATOMIC_SEQ_CST) >> self() & 1 || flushed[self()] < t->need;
}

bool tlb_behind(const struct region *r) { return behind(r->tlb); }

void tlb_enter(struct region *r) {
  struct region_tlb *t = r->tlb;
  u64 bit = 1UL << self();
  bool knows = __atomic_load_n(&t->ran, __ATOMIC_RELAXED) & bit;
  if (likely(knows && plat_ncpus() == 1 && flushed[0] >= t->need))
    return; /* nobody else interrupts or leaves word */
  if (!knows)
    __atomic_or_fetch(&t->ran, bit, __ATOMIC_SEQ_CST);
  /* A flush either sees this bit and interrupts us, or has left word in `stale`. */
  __atomic_or_fetch(&t->active, bit, __ATOMIC_SEQ_CST);
  if (unlikely(behind(t))) {
    __atomic_and_fetch(&t->stale, ~bit, __ATOMIC_SEQ_CST);
    flush_all();
  }
}

void tlb_leave(struct region_tlb *t) {
  __atomic_and_fetch(&t->active, ~(1UL << self()), __ATOMIC_SEQ_CST);
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

/* A CPU that was not stale before and has been interrupted is up to date: flushes of one region
   come one after another (its lock). */
static __attribute__((noinline)) void tell_others(struct region_tlb *t, u64 others, u64 va,
                                                  u64 pages) {
  u64 was = __atomic_fetch_or(&t->stale, others, __ATOMIC_SEQ_CST);
  u64 running = __atomic_load_n(&t->active, __ATOMIC_SEQ_CST) & others;
  shoot(running, va, pages, false);
  if (running & ~was)
    __atomic_and_fetch(&t->stale, ~(running & ~was), __ATOMIC_SEQ_CST);
}

static inline void flush_others(struct region_tlb *t, u64 va, u64 pages) {
  /* The tables have changed before this look: a full barrier. */
  u64 others = __atomic_fetch_add(&t->ran, 0, __ATOMIC_SEQ_CST) & ~(1UL << self());
  if (unlikely(others != 0))
    tell_others(t, others, va, pages);
}

static bool ran_here(const struct region *r) {
  return __atomic_load_n(&r->tlb->ran, __ATOMIC_RELAXED) >> self() & 1;
}

void tlb_flush_range(struct region *r, u64 va, u64 pages) {
  if (ran_here(r)) {
    if (pages <= TLB_SINGLE_MAX)
      invalidate_range(va, pages);
    else
      flush_all();
  }
  flush_others(r->tlb, va, pages);
}

void tlb_flush_region(struct region *r) {
  if (ran_here(r))
    flush_all();
  flush_others(r->tlb, 0, 0);
}

void tlb_flush_global(u64 va, u64 pages) {
  u64 all = plat_ncpus() >= 64 ? ~0UL : (1UL << plat_ncpus()) - 1;
  if (pages <= TLB_SINGLE_MAX)
    invalidate_range(va, pages);
  else
    tlb_invalidate_more();
  shoot(all & ~(1UL << self()), va, pages, true);
}
