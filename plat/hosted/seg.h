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
 * that forks again copies its private pages to the child if the segment is small and they are few
 * (settled), else writes them to the object first (refresh). When it has many, or
 * time, it is thawed: the mapping moves back.
 *
 * Thawing goes from the low end up, one part at a time. Meanwhile the region has two segments of
 * one object: a live one, up to where thawing has come, and the frozen one with `lo` there.
 * Segments nearby that the region has to itself are taken in as thawing passes them. fork finishes
 * it.
 */
#ifndef UFORK_HOSTED_SEG_H
#define UFORK_HOSTED_SEG_H

#include "plat/hosted/region.h"

/* A host VMA of a frozen segment, at its alias. */
struct piece {
  u64 from, to;
  int prot;
};

/* Where written.h has found pages written that are readable and writable. */
struct runs {
  u64 faults; /* good while there are no more of them (written_faults) */
  u32 remaps; /* and this is the region's; */
  bool known; /* if at all */
  u32 n;
  struct run {
    u32 off, end;
  } * v;
};

struct seg {
  struct memobj *obj;
  bool frozen;
  u32 refs;    /* regions with it in their table, those in the pool too; atomic */
  u32 sharers; /* regions of living µprocesses; changed under the lock of thaw.c, read atomically */
  u64 owners;  /* sum of their addresses: of one sharer, the sharer. Same lock */

  /* live */
  u32 lo, top;         /* of extents; top is the object's size, unless a frozen part shares it */
  u64 end;             /* of the host mapping; may be 4 GiB */
  u32 cover_hi;        /* covers exist below this only */
  bool absorbed;       /* seg_absorb has been here */
  bool announced;      /* the thaw thread knows that it is large, */
  u32 seen_top;        /* and has seen it end here */
  struct spare *spare; /* seg_spare.c; or NULL */

  const struct region *tracked; /* in this region written.h knows what has been written; or NULL. */
  struct runs written;          /* That, as it was found last */

  /* frozen */
  bool refreshed; /* in this fork: the parent was alone and the object is what it sees. Another
                     sharer may leave at any time, so this is decided once */
  u64 alias;      /* page `off` is mapped at alias + off */
  u32 alias_slot;
  struct stand_in *home; /* whose the alias is, instead of the slot's; or NULL */
  u32 private_pages;     /* that the parent had at the last fork */
  u32 enough;     /* a zygote's: with more than this they go to the object; 0: not known yet, */
  u32 forks;      /* before there were so many forks */
  u64 frozen_at;  /* by its owner's fork at this time */
  u64 refresh_ns; /* how long the last refresh took */
  u64 changed;    /* the object changed last then (seg_changes) */
  struct extents shape; /* extents of the owner when it was frozen */
  struct piece *pieces;
  u32 n_pieces, max_pieces;
  const struct region *whole; /* in this region one host mapping spans [whole_lo, whole_hi), its */
  u32 whole_lo, whole_hi;     /* gaps covered by guard pages; or NULL. Atomic */
  struct region *writer; /* the sharer that may claim parts; or NULL. Under the lock of thaw.c */
  u64 claim_fork;        /* the rest is of its fork at this time; the thaw thread's alone: */
  u64 claim_at;          /* how far claiming has come; UINT64_MAX: it has not begun */
  u64 claim_faults;      /* the host's page faults at the last look at them, */
  u64 claim_since;       /* and the time then */
  struct list thaw_node; /* thaw.c */
  bool queued;
  u64 quiet_since; /* when the thaw thread saw its region not fork any more, */
  u64 seen_fork;   /* since this one */
  u64 look_at;     /* when it will look again, */
  u64 pause;       /* and how long it waited the last time because little was private */
};

/* Of any segment that a region knows: a warm region may know one that its owner changes meanwhile.
 */
static inline bool seg_is_frozen(const struct seg *s) {
  return __atomic_load_n(&s->frozen, __ATOMIC_RELAXED);
}

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
/* Shares all segments of parent with child. moved, unless NULL: parent goes to its stand-in, which
   is ready; *moved: what it has left, with a reference. Errors leave the parent what it had, and in
   the child's books what that has got. */
int segs_fork(struct region *parent, struct region *child, struct stand_in **moved);
/* Unmaps the alias of frozen s and gives it back; owner: who has s to itself and may use a
   stand-in, or NULL. Forgets the shape that s had. */
void seg_free_alias(struct seg *s, struct region *owner);
/* A frozen segment up to this size with up to that many pages that the parent has written is left
   frozen: fork copies these pages. A larger one may be written to much just before a fork. */
#ifndef SETTLED_SEGMENT
#define SETTLED_SEGMENT MIB(4)
#endif
#define SETTLED_PAGES 96
/* The same for a zygote's. */
#define ZYGOTE_SEGMENT MIB(64)
#define ZYGOTE_PAGES 256
u64 seg_extent_bytes(const struct region *r, const struct seg *s);
/* Is frozen s small enough, for what r is? *pages: how many of its pages r may have written. */
bool seg_may_settle(const struct region *r, const struct seg *s, u32 *pages);
/* A number that grows with each change of any frozen segment's object, and when one is frozen. What
   was read of an object after one call and before the next change is what it still has. */
u64 seg_changes(void);
void seg_has_changed(struct seg *s);

/* ---- inside fork (seg_share.c) --------------------------------------------------------------- */

/* Maps all of frozen s, its owner's, private. Neighbours get one host mapping, as each costs as
   much as several gaps in one. -ENOMEM. */
int seg_map_frozen(struct region *r, struct seg *s);
/* Has a region of the pool, or new, map the parent's segments, which may be live. -ENOMEM. */
int segs_map_ahead(struct region *child, const struct region *parent);
/* Enters frozen s in the child's table and books, with what the parent sees there. debt: the parent
   may have written to it. -ENOMEM. */
int seg_share_frozen(struct region *parent, struct region *child, struct seg *s, bool debt);
/* Where frozen pages of e can be read without a fault, as if it were region offset 0; 0: nowhere.
 */
u64 seg_frozen_base(const struct extent *e);
/* Maps extent e of a frozen segment, without any private page. */
int seg_map_private(struct region *r, const struct extent *e, int prot);
/* r no longer maps anything of s. */
void seg_leave(struct region *r, struct seg *s);
void seg_get(struct seg *s);
void seg_put(struct seg *s);
/* Frees a warm child from segments it does not share, after an error: all but the parent's first
   `shared`. */
void segs_drop_warm(const struct region *parent, u32 shared, struct region *child);

/* ---- what a region has written (seg_written.c) ----------------------------------------------- */

/* Calls f for each run of pages of [off, end), all of frozen s, that r has written, or may have; as
   pagemap_each_private. */
int seg_each_private(const struct region *r, const struct seg *s, u32 off, u64 end,
                     int (*f)(void *arg, u64 from, u64 to), void *arg, u64 *pages);
/* The same, of all extents of s (NULL: of all frozen segments) that are readable and writable, in
   one search, or in none if it is known from the last one. s->tracked is r, or r is watched. */
int seg_each_written(const struct region *r, struct seg *s, int (*f)(void *arg, u64 from, u64 to),
                     void *arg);

/* ---- thawing (seg_thaw.c); with r's lock
 * --------------------------------------------------------- */

/* How much a step of the thaw thread takes: page tables of this size move as a whole. */
#define THAW_PART MIB(2)

/*
 * Thaws one part, up to the next multiple of `part` (a power of two), of the segment of r that is
 * being thawed or of the largest frozen one that r has to itself, if much of it is private. Threads
 * of r's µprocess may run: what they do to the part waits in region_fault. 1: there is more to do;
 * 0: no; -ENOMEM: nothing has changed.
 */
int seg_thaw_step(struct region *r, u64 part);
/* Would a fork have much to do because s, which r has to itself, is frozen? */
bool seg_is_worth_thawing(const struct region *r, const struct seg *s);
/* Makes s, frozen and r's alone, live. No thread of r's µprocess runs user code. -EBUSY, -ENOMEM.
 */
int seg_thaw(struct region *r, struct seg *s);
/* Finishes what steps have begun; as above. */
int seg_thaw_finish(struct region *r);
/* The frozen segment that is being thawed into live s, or NULL. */
struct seg *seg_frozen_rest(const struct region *r, const struct seg *s);
/* The live segment that frozen s is being thawed into, or NULL. */
struct seg *seg_live_part(const struct region *r, const struct seg *s);
/* No extent is left in frozen s, which has live part `live`: s becomes live in its place. */
void seg_thaw_done(struct region *r, struct seg *s, struct seg *live);

/* ---- sharers, and who thaws when (thaw.c) ---------------------------------------------------- */

/* One living region more shares s. */
void seg_share(struct seg *s, struct region *r);
/* One less; after the last one the pool lets go of s, too. When one is left it will be thawed. */
void seg_unshare(struct seg *s, struct region *r);
/* The first half of seg_unshare: true if that was the last one. The caller then calls pool_forget.
 */
bool seg_unshare_quietly(struct seg *s, struct region *r);
/* r, which shares frozen s, may write much of it while others have it. Nothing is done about that
   until seg_watch. */
void seg_set_writer(struct seg *s, struct region *r);
/* From now on the thaw thread looks what the writer of frozen s does. */
void seg_watch(struct seg *s);
/* Live s, of a region that has not come about by fork, has become large: the thaw thread will
   prepare the first fork soon, and again when it has grown. */
void seg_announce(struct seg *s);
/* Returns when the thaw thread will not touch r again. Nobody else uses r. */
void thaw_keep_off(struct region *r);
/* Looks at the segments that are to be thawed, and works on one. Did it? The thaw thread only. */
bool thaw_round(void);
/* Body of the thaw thread's host thread, on a stack with a struct thread. */
_Noreturn void thaw_run(void);

/* Makes what a fork of r wants, all of whose segments may be live, after s has been thawed or has
   become large. Threads of r's µprocess may run. */
void seg_prepare_fork(struct region *r, struct seg *s);

/* Table and structure alone. */
int seg_enter(struct region *r, struct seg *s); /* -ENOMEM: the table is full */
void seg_forget(struct region *r, struct seg *s);
void seg_free(struct seg *s);

/* When s has become large: takes small anonymous mappings in. An error leaves some out. `running`:
   threads of r's µprocess run; what they do to such a mapping may wait in region_fault. */
int seg_absorb(struct region *r, struct seg *s, bool running);
/* Takes in all anonymous memory that is readable and writable, new segments where need be. Threads
   of r's µprocess may run. -ENOMEM: some is left, which does no harm. */
int seg_absorb_all(struct region *r);
/* Is s worth that? */
bool seg_is_large(const struct region *r, const struct seg *s);
/* The segment that the next seg_absorb would make take in an anonymous mapping at [off, end), which
   is free; or NULL. */
struct seg *seg_absorbing(struct region *r, u32 off, u32 end);

/* ---- claiming (seg_claim.c) ------------------------------------------------------------------ */

/* How much is claimed at a time, */
#ifndef CLAIM_PART
#define CLAIM_PART KIB(512)
#endif
/* and when: as soon as one page in so many has been written. */
#define CLAIM_SHARE 32

/* A part that is to be copied, at a host address; len 0: none is. */
struct claim {
  u64 at, len;
};

/* With r's lock: looks at one part of s, frozen and used by r, from offset *at on, which moves
   behind it, and claims it if r has written much there. Threads of r's µprocess may run: what they
   write to the part waits in region_fault. False: there is no part left. */
bool seg_claim_step(struct region *r, const struct seg *s, u64 *at, struct claim *c);
/* The host copies what is not there of c. Without r's lock, as it takes long: if r changes the part
   meanwhile, other memory of r gets its pages a little early. r is not freed meanwhile. */
void seg_claim_fill(const struct claim *c);

/* ---- spares (seg_spare.c); with r's lock ----------------------------------------------------- */

/* Makes a spare of live s, if it is worth one and its shape allows. Threads may run. */
void seg_spare_make(struct region *r, struct seg *s);
/* Inside the freeze of s, when its pieces have moved to the alias: moves the spare to r, as
   seg_map_frozen would map it. 1; 0: there is none that fits; -ENOMEM, and r may have a part. */
int seg_spare_use(struct region *r, struct seg *s);
/* [from, to) of live s has been covered or uncovered. */
void seg_spare_cover(struct seg *s, u32 from, u32 to, bool covered);
void seg_spare_drop(struct seg *s);
/* r leaves frozen s, or has thawed it up to `from`: the host mapping there shrinks to extents. */
void seg_close_gaps(struct region *r, struct seg *s, u32 from);

/* ---- stand-ins (stand_in.c); with r's lock
 * ----------------------------------------------------- */

/* Makes one of r ready, whose segments have just been thawed; or makes anew. false: r has none.
   Threads may run. */
bool stand_in_make(struct region *r);
/* Has r one, or will it have one when its segments have been thawed? */
bool stand_in_wanted(const struct region *r);
/* fork: are all segments live, and may they be frozen by moving r? If that does not follow, the
   stand-in has to be made anew. */
bool stand_in_ready(struct region *r, bool may_move);
/* Then: all that r has will be where it goes. -ENOMEM. */
int stand_in_fill(struct region *r);
/* After that, when the shapes of all segments have been recorded: moves r. What it has left is the
   alias of each. */
struct stand_in *stand_in_use(struct region *r);
/* One reference less: each segment has one whose alias it is, and children that copy from it. With
   the last one r gets it back, or (NULL) it is freed. */
void stand_in_put(struct stand_in *p, struct region *r);
/* The pages that were left; they do not change while there are references. */
struct region *stand_in_place(const struct stand_in *p);
/* Gives up one that r has not used. */
void stand_in_drop(struct region *r);
/* How many there are. */
u32 stand_ins(void);

/* ---- what is touched soon after a fork (early.c); with r's lock ------------------------------ */

#define EARLY_PAGES_MAX 48
/* At `base`, where extent x of r is mapped as after a fork: maps what will be read early, makes
   private what will be written, and adds these pages to the list. */
int early_populate(const struct region *r, u64 base, const struct extent *x, u32 *pages, u32 *n);
/* Forgets what has been found. */
void early_free(struct region *r);

/* ---- inside -------------------------------------------------------------------------------- */

bool seg_have_guards(void);
/* Writes to the object. */
int seg_write(const struct seg *s, const void *from, u64 len, u64 at);
/* Do two segments keep disjoint ranges in one object? Then neither changes the object's size. */
bool seg_is_shared_object(const struct seg *s);
/* Calls f for each range of [from, to) that no extent occupies, until it returns an error. */
int seg_each_gap(const struct region *r, u32 from, u32 to, int (*f)(void *arg, u64 at, u64 end),
                 void *arg);
/* Maps and covers what no mapping occupies in [from, to) of the span, which nobody can access
   meanwhile. -ENOMEM: nothing of it is mapped. */
int seg_fill_holes(struct region *r, struct seg *s, u32 from, u32 to);
/* Maps [from, to) of a live span, accessible. */
int seg_map_span(struct region *r, struct seg *s, u64 from, u64 to);
/* Maps [from, to) of a live span anew with protection prot, never more than that accessible; 0:
   covered. */
int seg_map_prot(struct region *r, struct seg *s, u32 from, u32 to, int prot);
u64 seg_padded_end(const struct region *r, const struct seg *s, u32 top);

#endif
