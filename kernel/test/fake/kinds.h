/* SPDX-License-Identifier: MIT */
/* For tests with a heap of their own (kmalloc, kzalloc, kfree): the functions of
   kernel/mm/kmalloc.h that name a kind, which is not counted. Included by one file of a test. */
#ifndef FAKE_KINDS_H
#define FAKE_KINDS_H

#include "kernel/mm/kmalloc.h"
#include <malloc.h>
#include <string.h>

void *kmalloc_as(enum kmem_kind k, size_t n) { return (void)k, kmalloc(n); }
void *kzalloc_as(enum kmem_kind k, size_t n) { return (void)k, kzalloc(n); }
void kfree_as(enum kmem_kind k, void *p) { (void)k, kfree(p); }
u64 kmalloc_size(const void *p) { return p ? malloc_usable_size((void *)(uintptr_t)p) : 0; }
void *krealloc_as(enum kmem_kind k, void *p, size_t n) {
  void *q = kmalloc_as(k, n);
  if (q && p)
    memcpy(q, p, min_u64(kmalloc_size(p), n));
  if (q)
    kfree(p);
  return q;
}

#endif
