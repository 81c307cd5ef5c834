/* SPDX-License-Identifier: MIT */
/*
 * Kernel heap: size classes with per-CPU caches over plat_pages_alloc; larger than a page: whole
 * pages. Any context. Sizes are exact: kfree needs only the pointer.
 */
#ifndef UFORK_KERNEL_KMALLOC_H
#define UFORK_KERNEL_KMALLOC_H

#include "lib/types.h"

void *kmalloc(size_t n); /* uninitialised; NULL: out of memory */
void *kzalloc(size_t n); /* zeroed */
void *krealloc(void *p, size_t n);
void kfree(void *p); /* NULL is fine */
char *kstrdup(const char *s);
char *kstrndup(const char *s, size_t n);

u64 kmalloc_used(void); /* bytes handed out, for --stats and leak tests */
/* Size class i, from 0: bytes and objects that are handed out; false: there are no more classes. */
bool kmalloc_class(unsigned i, unsigned *size, u64 *objects);
u64 kmalloc_pages(void); /* page frames the heap has, free objects included */

#endif
