/* SPDX-License-Identifier: MIT */
/*
 * What the hardware does with the page tables, in software: walks them, keeps translations and
 * places of page tables in caches as large as can be, one set per CPU, and forgets them only when
 * told to. Faults go to region_fault.
 */
#ifndef UFORK_PC_TEST_MMU_H
#define UFORK_PC_TEST_MMU_H

#include "plat/pc/region.h"

#define TEST_CPUS_MAX 3u
extern unsigned test_cpus; /* fixed before the first region */

/* The CPU that does what follows. */
void mmu_cpu(unsigned cpu);
/* This CPU runs a thread of r from now on (NULL: of nobody). */
void mmu_run(struct region *r);
/* No CPU runs r any more. */
void mmu_forget(struct region *r);

/* The page at offset off of the region that this CPU runs, for reading or writing, after all
   faults; NULL if the access is refused. */
void *mmu_access(u64 off, bool write);

/* Compares what this CPU's TLB says of r with the tables: an offset where it would do what the
   tables do not allow, or 0. A TLB that will be flushed before r runs here does not count. */
u64 mmu_stale(const struct region *r);

extern _Thread_local u64 mmu_faults, mmu_invalidations, mmu_flushes, mmu_shootdowns;

#endif
