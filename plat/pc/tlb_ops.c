/* SPDX-License-Identifier: MIT */
/* The instructions (tests have their own). */
#include "plat/pc/tlb.h"

#define CR4_PGE (1UL << 7)

void tlb_invalidate(u64 va) { __asm__ volatile("invlpg (%0)" ::"r"(va) : "memory"); }

void tlb_invalidate_all(void) {
  u64 root;
  __asm__ volatile("mov %%cr3, %0; mov %0, %%cr3" : "=r"(root)::"memory");
}

/* Changing CR4.PGE flushes everything. */
void tlb_invalidate_more(void) {
  u64 cr4;
  __asm__ volatile("mov %%cr4, %0" : "=r"(cr4));
  __asm__ volatile("mov %0, %%cr4" ::"r"(cr4 ^ CR4_PGE) : "memory");
  __asm__ volatile("mov %0, %%cr4" ::"r"(cr4) : "memory");
}

void tlb_load_root(paddr root) { __asm__ volatile("mov %0, %%cr3" ::"r"(root) : "memory"); }
