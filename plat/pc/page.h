/* SPDX-License-Identifier: MIT */
/*
 * Copying and clearing page frames. CPUs with fast string instructions (ERMS) do that best; others,
 * among them QEMU's, move one word at a time with these, four with a vector register of AVX. The
 * registers are the running µprocess's: they are put back as they were.
 */
#ifndef UFORK_PC_PAGE_H
#define UFORK_PC_PAGE_H

#include "plat/pc/frames.h"

struct page_pair {
  paddr from, to;
};

/* Finds out what this CPU can. Before that, string instructions. All CPUs are alike. */
void page_init(void);

/* All n pages; `from` and `to` differ. Any context but interrupts. */
void pages_copy(const struct page_pair *pages, unsigned n);
static inline void page_copy(paddr to, paddr from) { pages_copy(&(struct page_pair){from, to}, 1); }
void page_clear(paddr p);

#endif
