/* SPDX-License-Identifier: MIT */
/*
 * The mappings of a space: a sorted array of disjoint, page-aligned ranges. An array, because fork
 * shares it as a whole until parent or child changes it, a look-up is a binary search without
 * pointers to chase, and moving a few thousand small entries costs less than one change of a page
 * table.
 *
 * Nothing here knows of regions: callers change the region and this list in step, under the
 * space's lock. Functions that need a new entry fail with -ENOMEM before they change anything.
 */
#ifndef UFORK_KERNEL_VMA_H
#define UFORK_KERNEL_VMA_H

#include "lib/types.h"

struct memobj;
struct file;

enum vma_kind { VMA_IMAGE, VMA_BRK, VMA_STACK, VMA_ANON, VMA_FILE_PRIVATE, VMA_SHARED };

#define VMA_MAY_WRITE 1u  /* mprotect may add PROT_WRITE */
#define VMA_DONTFORK 2u   /* MADV_DONTFORK */
#define VMA_WIPEONFORK 4u /* MADV_WIPEONFORK */
#define VMA_COLD 8u       /* private memory of class REGION_COLD */
#define VMA_COUNTED 16u   /* the file's ops->mapped learns of every mapping of it and its end */
#define VMA_SPECIAL (VMA_DONTFORK | VMA_WIPEONFORK | VMA_COUNTED) /* fork looks at it */

struct vma {
  u32 off, len;       /* len > 0; off + len <= SPACE_MMAP_HI */
  u8 prot;            /* PROT_* as the program asked */
  u8 kind;            /* enum vma_kind */
  u16 flags;          /* VMA_* */
  u64 obj_off;        /* offset in obj or file of the first byte */
  struct memobj *obj; /* shared contents; reference held; NULL: private memory */
  struct file *file;  /* file mappings, for /proc/PID/maps; reference held; may be NULL */
};

static inline u64 vma_end(const struct vma *v) { return (u64)v->off + v->len; }

#define VMA_COUNT_MAX 65530u /* Linux's default max_map_count */

struct vma_list {
  struct vma *v; /* in a block that lists may share: then nothing in it changes */
  u32 n, cap;
  bool special;   /* there may be entries with VMA_SPECIAL: not shared */
  u64 bytes;      /* sum of the lengths, for RLIMIT_AS */
  u64 data_bytes; /* private and writable, for RLIMIT_DATA */
};

/* The references of one mapping on what it shows. */
void vma_get(const struct vma *v);
void vma_put(const struct vma *v);

void vma_list_init(struct vma_list *l);
/* Drops all entries and their references. */
void vma_list_destroy(struct vma_list *l);
/* Bytes that the array takes for each who shares it. */
u64 vma_list_bytes(const struct vma_list *l);
/* dst (initialised, empty) becomes a copy without the entries marked VMA_DONTFORK. src is locked.
 */
int vma_list_copy(struct vma_list *dst, const struct vma_list *src);

/* Index of the first entry that ends above off (it may begin above it as well); l->n if none. */
u32 vma_index(const struct vma_list *l, u64 off);
/* The entry that contains off, or NULL. Valid until the next change. */
struct vma *vma_find(const struct vma_list *l, u64 off);
/* Is nothing mapped in [off, off+len)? */
bool vma_range_free(const struct vma_list *l, u64 off, u64 len);
/* Is everything mapped in it? */
bool vma_range_full(const struct vma_list *l, u64 off, u64 len);
/* Lowest hole of len bytes inside [lo, hi): its offset, or 0. */
u32 vma_find_hole(const struct vma_list *l, u64 len, u64 lo, u64 hi);

/* Makes sure that `extra` more entries fit: later inserts and splits cannot fail. Comes before any
   change, since it also makes the array the list's own; entries may move. */
int vma_reserve(struct vma_list *l, u32 extra);

/* Adds *v into a hole, merged with neighbours that continue it. Takes over v's references. Needs a
   reserve of 1. */
void vma_insert(struct vma_list *l, const struct vma *v);
/* Removes [off, off+len), splitting entries at its ends. Needs a reserve of 1. */
void vma_remove(struct vma_list *l, u64 off, u64 len);
/* Calls change(v, arg) for each entry in [off, off+len), after splitting at its ends; merges
   afterwards. Needs a reserve of 2. */
void vma_change(struct vma_list *l, u64 off, u64 len, void (*change)(struct vma *v, u64 arg),
                u64 arg);

#endif
