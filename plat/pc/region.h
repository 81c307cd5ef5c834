/* SPDX-License-Identifier: MIT */
/*
 * Regions on bare hardware. A region is four entries of a third-level page table, each a directory
 * of 1 GiB (table.h says what is in the tables, and how fork shares them). Private memory gets its
 * frames when it is touched. Files:
 *   slots.c         where regions lie
 *   table.c         page tables and directories
 *   region_table.c  a region's own tables; what has to wait for a TLB flush
 *   region.c        create, map, unmap, protect, discard, destroy
 *   region_fault.c  first touch and copy-on-write
 *   region_fork.c   fork
 *   region_warm.c   destroy; dead children kept for the next fork
 *   hotset.c        which pages fork copies ahead
 *   objmap.c        which memory objects are mapped where
 *
 * Locks. region->lock is held in every function of plat.h that has a region, so faults of several
 * threads and changes by the core may come at once; it protects the region's own tables (one
 * reference) and its books. Tables with more references need no lock: nobody changes them but for
 * clearing write bits. Order: region->lock, then memobj->lock, hotset->lock, slot and page-table
 * locks, the shootdown's, the frames' (each innermost among these but the last). fork locks the
 * parent alone: nobody knows the child yet.
 */
#ifndef UFORK_PC_REGION_H
#define UFORK_PC_REGION_H

#include "include/ufork/abi.h"
#include "kernel/plat.h"
#include "lib/list.h"
#include "lib/spin.h"
#include "plat/pc/hotset.h"
#include "plat/pc/objmap.h"
#include "plat/pc/page.h"
#include "plat/pc/table.h"
#include "plat/pc/tlb.h"

#define REGION_DIRS 4u
#define LEARN_FAULTS 64u /* of parent and child each after a fork: what fork copies ahead */
#define LEARN_RETURNS 8u /* of these, where a page was only waiting for its write bit */
#define REGION_ALL_DIRS ((1u << REGION_DIRS) - 1)
#define REGION_EAGER 16u /* copied pages of a child that is kept warm, at most */
#define REGION_LENT 8u   /* shared pages whose write permission the parent gets back, at most */

/* A page that only the parent had and fork shared: entry i of a table that is the parent's own. */
struct lent_page {
  struct table *of_parent;
  u32 i, page;
};

struct region {
  u64 base;
  u32 slot;
  u16 learn; /* faults from now on that tell what is written soon after a fork */
  struct spin lock;
  u64 *dir_entries; /* the four entries in the page table */
  struct table *dirs[REGION_DIRS];
  struct region_tlb *tlb;
  struct objmaps *objs; /* NULL: none; shared with forked regions until one changes it */
  struct hotset *hot;

  /* For region_warm.c. Sets of directories have a bit each. */
  u8 own;     /* those that fork made for this region; others were shared */
  u8 changed; /* in which tables have changed since this region was born (all, if it forked) */
  u8 changed_since;             /* and since it forked last */
  u8 rewritten;                 /* shared ones whose write permission had to come back by a fault */
  u8 rebuilt;                   /* how often its warm child was at the end of its lives */
  u16 lives;                    /* deaths so far */
  u32 sp_page, dead_lo, n_dead; /* what fork made of the stack */
  struct region *kin;           /* parent, of its last child while that lives, and of a warm one */
  struct region *child, *warm;  /* the other way round */
  struct list warm_node;
  u32 n_lent;
  u32 n_eager; /* pages that fork copied; more than REGION_EAGER: too many */
  struct page_pair eager[REGION_EAGER];
  struct lent_page lent[REGION_LENT];
};
/* The rest need not be zero. */
#define REGION_CLEARED __builtin_offsetof(struct region, eager)

/* Is there a mapping of a memory object at offset off? A fault there that the core cannot resolve
   is beyond the end of the object: SIGBUS. */
bool region_is_object(struct region *r, u64 off);
/* region_fault, with the reason if it cannot be resolved. */
enum fault_result { FAULT_DONE, FAULT_REFUSED, FAULT_NO_MEMORY };
enum fault_result region_touch(struct region *r, u32 off, bool write);
/* Is there a mapping at off whose rights allow the access? */
bool region_allows(struct region *r, u64 off, bool write);

/* ---- region.c, region_warm.c ----------------------------------------------------------------- */

/* A region with a slot and nothing else; NULL: -ENOMEM, -EAGAIN. */
struct region *region_alloc(int *err);
/* Frees everything that r has, and r. Nobody knows it any more. */
void region_take_apart(struct region *r);

/* With p's lock held, and no lock of another region. */
void region_drop_warm(struct region *p); /* p has a warm child: it is taken apart */
/* c is the child that p has just forked, perhaps out of its warm one. */
void region_set_child(struct region *p, struct region *c);
/* p's warm child with its hot pages copied, if such a stack was forked before; otherwise NULL, and
   p has none. Directories of c that are not its own are still to be shared. */
struct region *region_warm_child(struct region *p, u32 sp_page, u32 dead_lo, u32 n_dead);
u32 regions_warm(void);

/* ---- region_table.c: with the lock held ------------------------------------------------------ */

static inline unsigned dir_index(u64 off) { return (unsigned)(off >> 30); }
static inline unsigned table_index(u64 off) { return (unsigned)(off >> 21) & 511; }
static inline unsigned page_index(u64 off) { return (unsigned)(off >> 12) & 511; }

/*
 * What may be freed only when no CPU can reach it through its TLB any more. Filled while the
 * tables change; gather_flush flushes what needs it and frees. Room is made by flushing.
 */
#define GATHER_FRAMES 48u
#define GATHER_TABLES 8u
struct gather {
  struct region *r;
  u64 lo, hi; /* offsets that must be flushed; empty if lo >= hi */
  bool all;   /* the whole region must */
  unsigned n_frames, n_tables;
  paddr frames[GATHER_FRAMES];
  struct table *tables[GATHER_TABLES];
};
void gather_init(struct gather *g, struct region *r);
/* The page at off has changed while it was present. */
void gather_page(struct gather *g, u64 off);
/* The same, and its frame loses the reference that its entry held. */
void gather_frame(struct gather *g, u64 off, paddr p);
/* The table that mapped 2 MiB (1 GiB) at off is replaced by a copy, or what it mapped is gone. */
void gather_replaced(struct gather *g, u64 off, struct table *t);
void gather_dropped(struct gather *g, struct table *t);
void gather_flush(struct gather *g);

/* The directory (page table) that covers off, made if it is missing, copied if it is shared:
   ready to be changed, and writable from above. NULL: no memory, nothing has changed. */
struct table *region_dir(struct region *r, u64 off, struct gather *g);
struct table *region_pages(struct region *r, u64 off, struct gather *g);

/* The entry that counts for off: of a page or of 2 MiB that are alike; *writable: what is mapped
   can be written through all levels. */
u64 region_entry(const struct region *r, u64 off, bool *writable);

/* ---- slots.c --------------------------------------------------------------------------------- */

/* A random free base, with its entries in the page table (all 0) and the TLB generation it needs;
   -EAGAIN when all are taken, -ENOMEM. */
int slot_take(struct region *r);
/* Its entries are 0 again. */
void slot_give(struct region *r);
/* The region whose slot addr lies in; the caller keeps it alive. */
struct region *region_at(u64 addr);
u32 slots_in_use(void);

#endif
