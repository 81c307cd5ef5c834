/* SPDX-License-Identifier: MIT */
/*
 * A stand-in: address space of region size in which a region with a large segment will live from
 * its next fork on. When all segments are live, the thaw thread maps there, out of all µprocesses'
 * reach, what the region maps, as in the region of a child, and gives it the pages that fork will
 * copy.
 *
 * fork copies the hot pages there, and then the two change places: the µprocess, whose addresses
 * are all relative to its base, goes on in the other one. Its populated mappings of segments stay
 * where they are and are the aliases of the frozen segments from now on. So no mapping moves, and
 * no CPU has to flush its TLB. The child copies hot pages from there when it begins to run. When
 * all segments have been thawed, the place that was left is the next stand-in.
 */
#include "kernel/errno.h"
#include "kernel/mm/kmalloc.h"
#include "lib/string.h"
#include "plat/hosted/linux.h"
#include "plat/hosted/pagemap.h"
#include "plat/hosted/seg.h"

#define RW (REGION_READ | REGION_WRITE)
#define EXTENTS_MAX 48

struct stand_in {
  struct region *place;
  u32 refs;   /* once it has been used; atomic */
  bool ready; /* it may be used; else it has to be made ready anew */
  u32 n;
  u32 pages[EARLY_PAGES_MAX]; /* private ones of segments */
};

static u32 places; /* atomic */

u32 stand_ins(void) { return __atomic_load_n(&places, __ATOMIC_RELAXED); }

/* ---- life ------------------------------------------------------------------------------------ */

static struct stand_in *stand_in_new(u64 group) {
  struct stand_in *p = kzalloc(sizeof(*p));
  if (!p)
    return NULL;
  if (region_new(group, &p->place)) {
    kfree(p);
    return NULL;
  }
  p->place->warm = true;
  __atomic_add_fetch(&places, 1, __ATOMIC_RELAXED);
  return p;
}

static void stand_in_free(struct stand_in *p) {
  region_free(p->place);
  __atomic_sub_fetch(&places, 1, __ATOMIC_RELAXED);
  kfree(p);
}

void stand_in_drop(struct region *r) {
  struct stand_in *p = r->stand_in;
  r->stand_in = NULL;
  if (p)
    stand_in_free(p);
}

static void stand_in_get(struct stand_in *p) { __atomic_add_fetch(&p->refs, 1, __ATOMIC_RELAXED); }

void stand_in_put(struct stand_in *p, struct region *r) {
  if (__atomic_sub_fetch(&p->refs, 1, __ATOMIC_ACQ_REL) != 0)
    return;
  if (r && !r->stand_in && r->group == p->place->group)
    r->stand_in = p;
  else
    stand_in_free(p);
}

struct region *stand_in_place(const struct stand_in *p) {
  return p->place;
}

/* ---- making it ready ------------------------------------------------------------------------- */

/* Is there a large segment, and is r simple enough? */
bool stand_in_wanted(const struct region *r) {
  bool large = false;
  if (region_is_zygote(r) || r->unmovable || r->map.n > EXTENTS_MAX)
    return false;
  for (u32 i = 0; i < r->n_segs; i++)
    large |= r->segs[i]->absorbed;
  for (u32 i = 0; i < r->map.n; i++) {
    const struct extent *e = &r->map.v[i];
    if ((e->kind == EXTENT_ANON || e->kind == EXTENT_LAZY) && e->prot != RW)
      return false;
  }
  return large;
}

/* Does r want one, and are all segments live? */
static bool is_worthy(const struct region *r) {
  for (u32 i = 0; i < r->n_segs; i++)
    if (r->segs[i]->frozen || seg_is_shared_object(r->segs[i]) || r->segs[i]->top == r->segs[i]->lo)
      return false;
  return stand_in_wanted(r);
}

struct populate {
  u64 from, to; /* bases */
  u64 advice;
};

static int populate_run(void *arg, u64 at, u64 end) {
  const struct populate *p = arg;
  return LX_RETRY(lx3(madvise, at - p->from + p->to, end - at, p->advice)) ? -ENOMEM : 0;
}

static int fill_extent(struct region *r, struct stand_in *p, const struct extent *e) {
  struct populate read = {r->base, p->place->base, LX_MADV_POPULATE_READ};
  struct populate write = {r->base, p->place->base, LX_MADV_POPULATE_WRITE};
  u64 from = r->base + e->off, to = r->base + e->end;
  switch ((enum extent_kind)e->kind) {
  case EXTENT_ANON:
    LX_RETRY(lx3(madvise, from - r->base + p->place->base, to - from, LX_MADV_POPULATE_READ));
    return pagemap_each_private(from, to, populate_run, &write, NULL);
  case EXTENT_OBJECT:
    return pagemap_each_present(from, to, populate_run, &read);
  case EXTENT_LAZY:
    return early_populate(r, p->place->base, e, p->pages, &p->n);
  case EXTENT_EMPTY:
    break;
  }
  return 0;
}

static int make_ready(struct region *r, struct stand_in *p) {
  p->n = 0;
  int err = region_map_ahead(p->place, r);
  for (u32 i = 0; i < r->map.n && !err; i++)
    err = fill_extent(r, p, &r->map.v[i]);
  return err;
}

bool stand_in_make(struct region *r) {
  bool can = is_worthy(r);
  if (r->stand_in && r->stand_in->place->n_segs)
    stand_in_drop(r); /* it has not been used: its private pages are of a time that is over */
  if (can && !r->stand_in)
    r->stand_in = stand_in_new(r->group);
  if (can && r->stand_in && make_ready(r, r->stand_in) == 0)
    return r->stand_in->ready = true;
  stand_in_drop(r);
  return false;
}

/* ---- using it -------------------------------------------------------------------------------- */

bool stand_in_ready(struct region *r, bool may_move) {
  struct stand_in *p = r->stand_in;
  r->unmovable = !may_move;
  bool ready = p && p->ready && is_worthy(r);
  if (p)
    p->ready = false; /* whatever follows, it will be made anew */
  return ready;
}

int stand_in_fill(struct region *r) {
  int err = region_copy_hot(r->stand_in->place, r);
  return err ? err : segs_map_ahead(r->stand_in->place, r);
}

static void change_places(struct region *a, struct region *b) {
  u64 base = a->base;
  u32 slot = a->slot;
  a->base = b->base;
  a->slot = b->slot;
  b->base = base;
  b->slot = slot;
  a->remaps++;
  b->remaps++;
  a->usage_until = 0;
}

/* The place that was left maps no extent of s: what is there is the alias. */
static void leave_alias(struct stand_in *p, struct seg *s) {
  struct region *place = p->place;
  for (u32 i = 0; i < place->map.n;) {
    struct extent e = place->map.v[i];
    if (e.seg == s)
      extents_remove(&place->map, e.off, e.end);
    else
      i++;
  }
  seg_forget(place, s);
  seg_put(s);
  s->home = p;
  s->alias = place->base;
  s->tracked = NULL;
  stand_in_get(p);
}

/* Pages that r will write at once. */
static void copy_early(struct region *r, const struct stand_in *p) {
  for (u32 i = 0; i < p->n; i++) { /* translations are cold, too: all at once */
    __builtin_prefetch(region_ptr(p->place, p->pages[i]), 0);
    __builtin_prefetch(region_ptr(r, p->pages[i]), 1);
  }
  for (u32 i = 0; i < p->n; i++) {
    const struct extent *e = extents_at(&r->map, p->pages[i]);
    if (e && e->seg)
      memcpy(region_ptr(r, p->pages[i]), region_ptr(p->place, p->pages[i]), PAGE_SIZE);
  }
}

struct stand_in *stand_in_use(struct region *r) {
  struct stand_in *p = r->stand_in;
  r->stand_in = NULL;
  p->refs = 1;
  change_places(r, p->place);
  copy_early(r, p);
  for (u32 i = 0; i < r->n_segs; i++) {
    seg_spare_drop(r->segs[i]);
    leave_alias(p, r->segs[i]);
  }
  r->watched = false;
  return p;
}
