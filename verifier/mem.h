/* SPDX-License-Identifier: MIT */
/* The three functions that the library takes from its surroundings: a C library or the kernel. */
#ifndef UF_VERIFIER_MEM_H
#define UF_VERIFIER_MEM_H

#include <stddef.h>

void *memcpy(void *restrict to, const void *restrict from, size_t n);
void *memset(void *at, int byte, size_t n);
int memcmp(const void *a, const void *b, size_t n);

#endif
