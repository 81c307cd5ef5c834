/* SPDX-License-Identifier: MIT */
/*
 * The page table of the machine: there is one, and every CPU uses it. Four levels; kernel maps are
 * global and made of large pages where alignment allows. Regions keep their own tables beneath the
 * third level (table.h) and only get the place where these hang from here.
 *
 * CR0.WP must be set and no entry has the user bit: everything runs in ring 0, and write protection
 * holds for it as well.
 */
#ifndef UFORK_PC_PAGETABLE_H
#define UFORK_PC_PAGETABLE_H

#include "plat/pc/frames.h"

/* What the hardware reads. */
#define E_P (1UL << 0)
#define E_W (1UL << 1)
#define E_WRITE_THROUGH (1UL << 3)
#define E_UNCACHED (1UL << 4)
#define E_A (1UL << 5)
#define E_D (1UL << 6)
#define E_LARGE (1UL << 7)
#define E_GLOBAL (1UL << 8)
#define E_NX (1UL << 63)
#define E_ADDR 0x000ffffffffff000UL

/* Rights of kernel maps. */
#define PT_RX (E_P | E_A | E_D | E_GLOBAL)
#define PT_R (PT_RX | E_NX)
#define PT_RW (PT_R | E_W)
#define PT_DEVICE (PT_RW | E_UNCACHED | E_WRITE_THROUGH)

/*
 * Builds the final table and switches the calling CPU to it: the kernel image with the rights of
 * its sections, all physical memory below `phys_top` at DIRECT_LO, never executable (the alias of
 * the kernel's text and rodata read-only). Nothing else: address 0 and whatever boot code had there
 * are gone. Panics without memory. On the boot CPU, after frames_init; frames given to frames_init
 * must be reachable through the provisional direct map.
 */
void pagetable_init(paddr phys_top);

/* Physical address of the root: CR3 of every CPU. */
paddr pagetable_root(void);

/* Maps [va, va + len) to [pa, pa + len) with rights as above, in the largest pages that fit. The
   range must not be mapped. Takes the lock of the table. -ENOMEM (what was mapped is left). */
int pagetable_map(u64 va, paddr pa, u64 len, u64 rights);
/* Unmaps what there is of pages of 4 KiB that pagetable_map made; the caller flushes TLBs. */
void pagetable_unmap(u64 va, u64 len);
/* The entry that maps va (0: none) and the size of its page. */
u64 pagetable_lookup(u64 va, u64 *size);

/* The third-level table (page-directory pointers) that covers va, which is made if needed and stays
   for good; NULL: no memory. Takes the lock. */
u64 *pagetable_pdpt(u64 va);

#endif
