/* SPDX-License-Identifier: MIT */
/* What the memory code needs of the rest, for tests on libc: physical memory is an mmap at
   DIRECT_LO. */
#ifndef UFORK_PC_TEST_SUPPORT_H
#define UFORK_PC_TEST_SUPPORT_H

#include "lib/types.h"

#define TEST_PHYS_LO MIB(16)

/* Gives frames_init `bytes` of memory, in two ranges with a hole between. */
void support_init(u64 bytes);

/* Makes the next kmalloc after `after` more fail, and all that follow; -1: none. */
void support_fail_kmalloc(int after);
int support_kmalloc_live(void); /* blocks not freed */

/* Called when the kernel panics. */
extern void (*support_on_panic)(void);

#endif
