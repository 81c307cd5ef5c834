/* SPDX-License-Identifier: MIT */
/*
 * Which memory objects a region maps where: a sorted array of page ranges. Page tables only say
 * that an object is there; this says which, and at what offset, when a page of it is touched first.
 * fork shares the array until parent or child changes it.
 *
 * All with the region's lock held.
 */
#ifndef UFORK_PC_OBJMAP_H
#define UFORK_PC_OBJMAP_H

#include "kernel/plat.h"

struct objmap {
  u32 page, end; /* region offsets in pages */
  u64 first;     /* page of the object that `page` shows */
  struct memobj *o;
};

struct objmaps {
  u32 refs; /* regions; atomic */
  u32 n, cap;
  struct objmap v[];
};

/* Another reference; NULL is fine. */
struct objmaps *objmaps_share(struct objmaps *m);
/* Drops one; the last drops those to the objects as well. */
void objmaps_put(struct objmaps *m);

/* The mapping that contains `page`, or NULL. */
const struct objmap *objmaps_find(const struct objmaps *m, u32 page);
bool objmaps_overlap(const struct objmaps *m, u32 page, u32 end);

/* Makes *m unshared with room for `extra` more: the changes below cannot fail then. -ENOMEM. */
int objmaps_reserve(struct objmaps **m, u32 extra);
/* Forgets [page, end); splits, which takes room for one. */
void objmaps_remove(struct objmaps *m, u32 page, u32 end);
/* Adds *e, whose range is free, and takes a reference to its object. Takes room for one. */
void objmaps_add(struct objmaps *m, const struct objmap *e);

#endif
