/* SPDX-License-Identifier: MIT */
/* What lwIP takes from <stdlib.h>: numbers in names of interfaces. */
#ifndef UFORK_PC_LWIP_STDLIB_H
#define UFORK_PC_LWIP_STDLIB_H

#include <stddef.h>

static inline int atoi(const char *s) {
  unsigned n = 0;
  while (*s >= '0' && *s <= '9')
    n = n * 10 + (unsigned)(*s++ - '0');
  return (int)n;
}

#endif
