/* SPDX-License-Identifier: MIT */
/*
 * Kernel heap: size classes with per-CPU caches over plat_pages_alloc; larger than a page: whole
 * pages. Any context. Sizes are exact: kfree needs only the pointer.
 */
#ifndef UFORK_KERNEL_KMALLOC_H
#define UFORK_KERNEL_KMALLOC_H

#include "lib/types.h"

/* What memory is for, as --stats and /proc/meminfo tell it. An object is freed as what it was
   allocated as. */
enum kmem_kind {
  KMEM_OTHER,
  KMEM_PROCESS, /* processes, groups, sessions */
  KMEM_SIGNAL,  /* handlers, masks, what is pending */
  KMEM_FILE,    /* descriptor tables, open files, where paths start */
  KMEM_NAME,    /* cached names of the file tree */
  KMEM_SPACE,   /* lists of mappings */
  KMEM_REGION,  /* the platform's records of regions */
  KMEM_SOCKET,  /* Unix sockets and what is queued in them */
  KMEM_IMAGE,   /* loaded programs */
  KMEM_NKINDS
};

void *kmalloc(size_t n); /* uninitialised; NULL: out of memory */
void *kzalloc(size_t n); /* zeroed */
void *krealloc(void *p, size_t n);
void kfree(void *p); /* NULL is fine */
char *kstrdup(const char *s);
char *kstrndup(const char *s, size_t n);

/* The same for memory of a kind. */
void *kmalloc_as(enum kmem_kind k, size_t n);
void *kzalloc_as(enum kmem_kind k, size_t n);
void *krealloc_as(enum kmem_kind k, void *p, size_t n);
void kfree_as(enum kmem_kind k, void *p);

/* Bytes that p takes, which may be more than was asked for; NULL: 0. */
u64 kmalloc_size(const void *p);
/* "Process:" and so on, for lists. */
const char *kmem_name(enum kmem_kind k);
/* Bytes handed out as k. Exact while nobody allocates or frees. */
u64 kmalloc_used_as(enum kmem_kind k);
u64 kmalloc_used(void); /* bytes handed out, for --stats and leak tests */
/* Size class i, from 0: bytes and objects that are handed out; false: there are no more classes. */
bool kmalloc_class(unsigned i, unsigned *size, u64 *objects);
/* Gives back the free objects that CPUs keep, and the slabs that become free by that. Any context.
 */
void kmalloc_trim(void);
u64 kmalloc_pages(void); /* page frames the heap has, free objects included */

#endif
