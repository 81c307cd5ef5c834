/* SPDX-License-Identifier: MIT */
/* What the region allocator needs of the rest, for tests on libc. */
#ifndef UFORK_HOSTED_TEST_SUPPORT_H
#define UFORK_HOSTED_TEST_SUPPORT_H

#include "lib/types.h"

void support_init(void);
/* Mappings of memory objects that the host has: none when all regions are gone. */
unsigned support_host_mappings(void);
/* Random numbers, each sequence the same again (Marsaglia's xorshift); not 0. */
extern u64 support_seed;
static inline u64 rnd(void) {
  support_seed ^= support_seed << 13;
  support_seed ^= support_seed >> 7;
  support_seed ^= support_seed << 17;
  return support_seed;
}
static inline u32 below(u32 n) { return (u32)(rnd() >> 20) % n; }
static inline bool chance(u32 percent) { return below(100) < percent; }
/* Makes the next allocation of kernel memory fail, and every n-th after it; 0: none. */
void support_fail_allocations(unsigned every);
/* Has a fork of this thread asked since the last time that region_after_fork be called? */
bool support_watched(void);

#endif
