/* SPDX-License-Identifier: MIT */
/*
 * Lazy segments: private memory that fork shares copy-on-write. The pages of a segment are in a
 * memory object; file offset = region offset.
 *
 * Live: one region owns it and maps the object shared, [lo, end) in one host VMA where possible:
 * page tables can then be moved as a whole. Inside [lo, top) what the µprocess may not touch is
 * covered (guard pages, or PROT_NONE where the host has none); [top, end) lies beyond the object's
 * end. Mappings of another kind inside the span lie over it. The object is zero wherever no extent
 * of the segment is.
 *
 * Frozen: its regions (`sharers`) map the object private, so that the host copies what they write;
 * the former owner's populated mapping waits at `alias`, out of all µprocesses' reach. Nothing
 * writes to the object while there are two. New memory goes to another segment. A single sharer
 * that forks again writes its private pages to the object first (refresh). When it has many it is
 * thawed: the mapping moves back.
 */
#ifndef UFORK_HOSTED_SEG_H
#define UFORK_HOSTED_SEG_H

#include "plat/hosted/region.h"

/* A host VMA of a frozen segment, at its alias. */
struct piece {
  u64 from, to;
  int prot;
};

struct seg {
  struct memobj *obj;
  bool frozen;
  u32 refs;    /* regions with it in their table, those in the pool too; atomic */
  u32 sharers; /* regions of living µprocesses; atomic */

  /* live */
  u32 lo, top;   /* of extents; top is the object's size */
  u64 end;       /* of the host mapping; may be 4 GiB */
  u32 cover_hi;  /* covers exist below this only */
  bool absorbed; /* seg_absorb has been here */

  /* frozen */
  bool refreshed; /* in this fork: the parent was alone and the object is what it sees. Another
                     sharer may leave at any time, so this is decided once */
  u64 alias;      /* page `off` is mapped at alias + off */
  u32 alias_slot;
  u32 private_pages;    /* that the single sharer had at its last refresh, */
  u64 refresh_ns;       /* and how long that took */
  struct extents shape; /* extents of the owner when it was frozen */
  struct piece *pieces;
  u32 n_pieces;
  u32 frozen_top; /* while thawing: top when it was frozen */
};

/* Finds out what the host can do. */
void seg_init(void);

/* ---- a region's segments (seg.c); the region's books hold room for two entries --------------- */

/* A live segment that can take memory at off, a new one if need be; NULL: use anonymous memory. */
struct seg *seg_for(struct region *r, u32 off);
/* Extents of live segments. `off` to `end` is free (map) or one extent's part (others). */
int seg_map(struct region *r, struct seg *s, u32 off, u32 end, int prot);
int seg_unmap(struct region *r, struct seg *s, u32 off, u32 end, int prot);
int seg_protect(struct region *r, struct seg *s, u32 off, u32 end, int from, int to);
/* A mapping of another kind or of segment `except` comes to off: cuts tails of segments off. */
int seg_make_way(struct region *r, const struct seg *except, u32 off);
/* A mapping of another kind has left [off, end): a live segment's span closes over it. */
int seg_close_over(struct region *r, u32 off, u32 end);
/* Gives up segments without extents. */
void seg_drop_unused(struct region *r);
bool seg_is_used(const struct region *r, const struct seg *s);

/* Calls f for each host VMA of live segment s: ranges of one protection without foreign mappings.
 */
int seg_each_piece(struct region *r, struct seg *s, int (*f)(void *arg, u64 from, u64 to, int prot),
                   void *arg);

/* ---- fork (seg_fork.c) ----------------------------------------------------------------------- */

/* Of segments that the parent has to itself, makes the object what the parent sees. May change
   which segment an extent belongs to, so the child is matched with the parent after it. */
int segs_prepare(struct region *parent);
/* Shares all segments of parent with child. Errors leave the parent as it was, and what the child
   has got in its books. */
int segs_fork(struct region *parent, struct region *child);
/* r no longer maps anything of s. */
void seg_leave(struct region *r, struct seg *s);
/* One living region less shares s; after the last one the pool lets go of it, too. */
void seg_unshare(struct seg *s);
void seg_get(struct seg *s);
void seg_put(struct seg *s);
/* Frees a warm child from segments it does not share, after an error: all but the parent's first
   `shared`. */
void segs_drop_warm(const struct region *parent, u32 shared, struct region *child);

/* If r is the only sharer of frozen s: makes it live. No thread of r's µprocess runs user code. */
int seg_thaw(struct region *r, struct seg *s);

/* Table and structure alone. */
int seg_enter(struct region *r, struct seg *s); /* -ENOMEM: the table is full */
void seg_forget(struct region *r, struct seg *s);
void seg_free(struct seg *s);

/* When s has become large: takes small anonymous mappings in. An error leaves some out. */
int seg_absorb(struct region *r, struct seg *s);

/* ---- inside -------------------------------------------------------------------------------- */

/* Writes to the object. */
int seg_write(const struct seg *s, const void *from, u64 len, u64 at);
/* Do two segments keep disjoint ranges in one object? Then neither changes the object's size. */
bool seg_is_shared_object(const struct seg *s);
/* Maps and covers what no mapping occupies in [from, to) of the span. */
int seg_fill_holes(struct region *r, struct seg *s, u32 from, u32 to);
/* Maps [from, to) of a live span, accessible. */
int seg_map_span(struct region *r, struct seg *s, u64 from, u64 to);
u64 seg_padded_end(const struct region *r, const struct seg *s, u32 top);

#endif
