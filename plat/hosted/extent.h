/* SPDX-License-Identifier: MIT */
/*
 * The mappings of one region as a sorted array of disjoint extents. Pure bookkeeping: no host call
 * is made here, except that extents hold references to their memory objects.
 */
#ifndef UFORK_HOSTED_EXTENT_H
#define UFORK_HOSTED_EXTENT_H

#include "lib/types.h"

struct memobj;
struct seg;

enum extent_kind {
  EXTENT_EMPTY, /* PROT_NONE, never written: no host mapping, reads as zeros once it may be read */
  EXTENT_ANON,  /* private, anonymous on the host; fork copies it */
  EXTENT_LAZY,  /* private, in a lazy segment; fork shares it copy-on-write */
  EXTENT_OBJECT /* shared memory object */
};

struct extent {
  u32 off, end;
  u8 kind, prot;
  bool hot;           /* EMPTY: the class it was mapped with */
  bool inherited;     /* the parent had it when it forked */
  struct memobj *obj; /* OBJECT; reference held */
  u64 obj_off;        /* of `off` */
  struct seg *seg;    /* LAZY */
};

struct extents {
  struct extent *v;
  u32 n, cap;
};

/* Room for `more` further entries; operations below need two each and then cannot fail. -ENOMEM. */
int extents_reserve(struct extents *x, u32 more);
/* Puts all references and frees the array. */
void extents_free(struct extents *x);
/* Index of the first extent that ends after off. */
u32 extents_find(const struct extents *x, u32 off);
/* The extent that holds off, or NULL. */
const struct extent *extents_at(const struct extents *x, u32 off);
/* Splits at off and end, so that [*first, *last) are the extents that lie inside [off, end). */
void extents_split(struct extents *x, u32 off, u32 end, u32 *first, u32 *last);
/* Removes what lies in [off, end). */
void extents_remove(struct extents *x, u32 off, u32 end);
/* Adds e (taking over its reference) where nothing lies; merges with equal neighbours. */
void extents_add(struct extents *x, const struct extent *e);
/* The same, of an extent that is the parent's. */
void extents_add_inherited(struct extents *x, const struct extent *e);
/* Merges equal neighbours at the borders of [off, end), after a change of what lies inside. */
void extents_merge(struct extents *x, u32 off, u32 end);
/* Same memory, continued: b may follow a in one extent. */
bool extents_mergeable(const struct extent *a, const struct extent *b);

#endif
