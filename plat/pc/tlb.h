/* SPDX-License-Identifier: MIT */
/*
 * Keeping TLBs true. A CPU may hold translations of a region only from when a thread of it first
 * ran there, so flushes go to those CPUs alone: those that run it now are interrupted, the others
 * flush when they come back to it.
 *
 *   tlb->ran      CPUs that may hold translations
 *   tlb->active   CPUs that run a thread of it now: these need an interrupt
 *   tlb->stale    CPUs that must forget everything before they run it again
 *   tlb->need     generation that a CPU must have been flushed in before it runs it
 *
 * A base that a dead region had begins with the generation of its death (slots.c), so nothing has
 * to be flushed when a region is destroyed.
 */
#ifndef UFORK_PC_TLB_H
#define UFORK_PC_TLB_H

#include "plat/pc/frames.h"

struct region;

/* Belongs to the slot (slots.c), not to the region, and so is never freed: a CPU may leave a region
   that is gone already. */
struct region_tlb {
  u64 ran, active, stale; /* bit per CPU; atomic */
  u64 need;               /* changes while no region has the slot */
};

/* The calling CPU is about to run a thread of r, or has just stopped to (before it enters the next
   region). Interrupts may be on. */
void tlb_enter(struct region *r);
void tlb_leave(struct region_tlb *t);

/* Must this CPU forget everything before it runs r? */
bool tlb_behind(const struct region *r);

/* Invalidates [va, va + pages) of r wherever it may be cached. Many pages: everything that is not
   global. Waits for the other CPUs; the caller may hold spinlocks but interrupts are on. */
void tlb_flush_range(struct region *r, u64 va, u64 pages);
void tlb_flush_region(struct region *r);
/* The same for kernel maps (text window), on all CPUs. */
void tlb_flush_global(u64 va, u64 pages);

/* A generation newer than any flush that has begun: for the next region at a dead region's base. */
u64 tlb_new_generation(void);

/* ---- of this CPU ----------------------------------------------------------------------------- */

#define TLB_SINGLE_MAX 16u /* more pages than this: everything at once is cheaper */

void tlb_invalidate(u64 va);    /* one page, global or not */
void tlb_invalidate_all(void);  /* all that is not global */
void tlb_invalidate_more(void); /* global pages as well */
void tlb_load_root(paddr root); /* the root of the page table */

/* ---- other CPUs: smp.c gives the first, and calls the second --------------------------------- */

/* Interrupts the CPUs of the mask, each of which calls tlb_shootdown_self, and returns when all
   have done so. */
void smp_tlb_shootdown(u64 cpus);
/* Flushes what the shootdown under way asks for. Interrupt context. */
void tlb_shootdown_self(void);

#endif
