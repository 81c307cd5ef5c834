/* SPDX-License-Identifier: MIT */
/*
 * Regions on a host. Files:
 *   slots.c        where in the host's address space regions and aliases lie
 *   extent.c       what is mapped in a region (bookkeeping)
 *   region.c       create, map, unmap, protect, discard, destroy
 *   parked.c       what is mapped and unmapped all the time
 *   region_fork.c  fork: the eager tier
 *   region_end.c   the end of a µprocess: what its region keeps for the next one
 *   pool.c         warm regions of dead µprocesses
 *   seg.c          lazy segments: map, unmap, protect
 *   seg_fork.c     fork: the lazy tier
 *   seg_share.c    what the child gets of it
 *   seg_spare.c    what is made ready for it
 *   stand_in.c     where the parent goes on after it
 *   early.c        what it touches first after it
 *   seg_claim.c    what a region writes all over, copied in parts
 *   seg_written.c  what a region has written in them
 *   seg_thaw.c     its end, part by part
 *   thaw.c         when that happens: the thaw thread
 */
#ifndef UFORK_HOSTED_REGION_H
#define UFORK_HOSTED_REGION_H

#include "include/ufork/abi.h"
#include "kernel/plat.h"
#include "lib/list.h"
#include "lib/spin.h"
#include "plat/hosted/extent.h"
#include "plat/hosted/hostmutex.h"
#include "plat/hosted/memobj.h"
#include "plat/hosted/parked.h"
#include "plat/hosted/region_mode.h"

/* Anonymous memory that fork copies: more than this in one region becomes lazy. */
#define HOT_PAGES_MAX 256u
/* A COLD mapping up to this size counts as hot while there is room: copying it is cheaper than the
   host calls of a segment. */
#define SMALL_COLD_PAGES 64u

#define WARM_COPIED 1u

/* Segments of one region; when the table is full, memory is anonymous. */
#define REGION_SEGS_MAX 8

/* Bytes of the main stack that fork need not copy: all below the stack pointer. */
struct dead_stack {
  u32 lo, hi;
};

struct region {
  struct hostmutex
      lock; /* the rest, against the thaw thread; a dead or new region has no use for it */
  u64 base, group;
  u32 slot;
  u32 anon_pages;                        /* mapped, in ANON extents */
  u32 kept_pages;                        /* in the pool: private ones, in LAZY extents */
  struct seg *segs[REGION_SEGS_MAX + 1]; /* one more for the live part while one thaws */
  u32 n_segs;
  bool dying;                 /* the thaw thread keeps off; under the lock of thaw.c */
  u32 steps;                  /* of thawing, that took something away for a moment */
  u32 fault_off, fault_steps; /* the last fault that was put down to one */
  u64 forked_at, fork_gap;    /* when this region forked last, and how long after the time before */
  u64 born_at;                /* time of the fork that made it, if its parent had segments */
  u32 row;                    /* forks in a row; from ZYGOTE_FORKS on it is a zygote */
  bool arranged;              /* its segments are as a zygote's should be */
  u32 lives;                  /* µprocesses that it has held since it last got a new mapping */
  u32 remaps;                 /* changes of host mappings */
  bool watched;               /* written.h tells what is written in its frozen segments */
  u64 noted_faults; /* the pages that warm_pages named when it came out of the pool are all of
                       these while there are no more faults (written_faults) */
  u32 noted_remaps; /* and no more changes than this */
  u64 ready; /* in the pool: until then (seg_changes) its private pages of lazy extents are those of
                the object, that is what a parent has that did not write them; 0: they are not */
  bool is_child;             /* came about by fork */
  bool of_zygote;            /* a zygote's */
  struct stand_in *stand_in; /* where fork may move it (stand_in.c); or NULL */
  bool unmovable;            /* fork was not allowed to */
  struct early *early;       /* what it touches soon after it has been moved (early.c); or NULL */
  struct stand_in *source;   /* what its parent left there is to be copied before it is used; or
                                NULL, then it is complete */
  struct dead_stack dead;    /* and this is not */
  bool begins;               /* when it does, the thaw thread is to watch its parent */
  bool warm; /* in the pool, or just out of it: does not count as a sharer of segs */
  struct parked parked[PARKED_MAX];
  u32 parked_turn;
  struct extents map; /* in the pool: what the host still maps */
  u32 *warm_pages;    /* in the pool: private pages of lazy extents, in order; or NULL. With
                         WARM_COPIED where the last fork copied what the parent had written */
  u32 n_warm;
  struct list node;          /* pool: bucket */
  struct list lru_node;      /* pool: age */
  struct region_usage usage; /* region_usage.c: what was found last, good until then */
  u64 usage_until;
};

/* ---- start-up --------------------------------------------------------------------------- */

/* Finds out where regions can lie. 0, -ENOMEM. */
int slots_init(void);

/* ---- slots.c --------------------------------------------------------------------------------- */

/* A random free region base; -EAGAIN when all are taken. */
int slot_take(u32 *slot, u64 *base);
void slot_give(u32 slot);
u32 slots_in_use(void);

/* Address space of region size, out of all regions' reach, for a frozen segment. -ENOMEM. */
int alias_take(u32 *slot, u64 *base);
void alias_give(u32 slot);

/* ---- region.c -------------------------------------------------------------------------------- */

/* Is offset off (of a fault) inside a shared memory object? */
bool region_is_object(struct region *r, u64 off);
/* A region without mappings. */
int region_new(u64 group, struct region **out);
/* Frees the address space and the structure. */
void region_free(struct region *r);
/* Host mapping of e as its kind and protection say. */
int host_map(struct region *r, const struct extent *e);
int host_unmap(struct region *r, u32 off, u32 end);
int host_protect(struct region *r, u32 off, u32 end, int prot);

static inline u8 *region_ptr(const struct region *r, u32 off) { return (u8 *)(r->base + off); }
static inline u32 pages_of(u32 off, u32 end) { return (end - off) / (u32)PAGE_SIZE; }

void anon_account(struct region *r, i64 pages);
u64 regions_bytes_used(void);

/* ---- region_fork.c --------------------------------------------------------------------------- */

/* `to` gets all of `from` but lazy extents, which are the same in both or in `from` alone. -ENOMEM.
 */
int region_copy_hot(struct region *to, struct region *from);
/* `to` maps what `from` does, and no contents are copied. -ENOMEM. */
int region_map_ahead(struct region *to, struct region *from);
/* Has a warm region map what r does. With r's lock; threads may run. */
void region_prepare_child(struct region *r);
/* Copies what a child's fork has left for later. With its lock. */
void region_complete(struct region *child);
/* Or gives that up: nobody will use the region. */
void region_abandon(struct region *child);

/* ---- region_end.c ---------------------------------------------------------------------------- */

/* A process that lived shorter has done what one that is forked per request does. */
#define SHORT_LIFE_NS 250000000
/* A region that has forked so often, never longer than this after the time before, serves a request
   with each fork: all is done to make the next one cheap. */
#ifndef ZYGOTE_FORKS
#define ZYGOTE_FORKS 8
#endif
#define ZYGOTE_GAP_NS 250000000

static inline bool region_is_zygote(const struct region *r) { return r->row >= ZYGOTE_FORKS; }

/* ---- pool.c ---------------------------------------------------------------------------------- */

/* A warm region of `group`, or NULL. Its map tells what is mapped; contents are arbitrary. */
struct region *pool_take(u64 group);
/* Keeps r, whose map holds only what may stay mapped; may free older ones. */
void pool_put(struct region *r);
/* Frees the regions that map something of s. */
void pool_forget(const struct seg *s);
u32 pool_count(void);
/* Frees all regions of the pool. */
void pool_drain(void);

#endif
