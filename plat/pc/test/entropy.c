/* SPDX-License-Identifier: MIT */
/* Stands in for random.c, whose plat_random the fake platform has already: notes what is added. */
#include "plat/pc/test/entropy.h"
#include "plat/pc/random.h"
#include <string.h>

u8 entropy_added[256];
size_t entropy_n;
bool entropy_wanted;

void random_add(const void *bytes, size_t n) {
  n = min_u64(n, sizeof entropy_added - entropy_n);
  memcpy(entropy_added + entropy_n, bytes, n);
  entropy_n += n;
}

bool random_wants_more(void) { return entropy_wanted; }
