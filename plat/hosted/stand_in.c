/* SPDX-License-Identifier: MIT */
/*
 * A stand-in: address space of region size in which a region with a large live segment will live
 * from its next fork on. The thaw thread maps there, out of all µprocesses' reach, what the region
 * maps, as in the region of a child, and gives it the pages that fork will copy.
 *
 * fork copies the hot pages there as it does for the child, and then the two change places: the
 * µprocess, whose addresses are all relative to its base, goes on in the other one. Its populated
 * mapping of the segment stays where it is and is the alias of the frozen segment from now on. So
 * no mapping moves, and no CPU has to flush its TLB. When the segment has been thawed, the place
 * that was left is the next stand-in.
 */
#include "kernel/errno.h"
#include "kernel/mm/kmalloc.h"
#include "lib/string.h"
#include "plat/hosted/linux.h"
#include "plat/hosted/pagemap.h"
#include "plat/hosted/seg.h"
#include "plat/hosted/written.h"

#define RW (REGION_READ | REGION_WRITE)
#define EXTENTS_MAX 48
#define NOTED_MAX 512 /* private pages of frozen segments */

struct stand_in {
  struct region *place;
  bool ready; /* it may be used; else it has to be made ready anew */
  bool noted; /* the host notes what is written in frozen segments, as it did in the region, */
  u32 remaps; /* as long as this has not changed */
  u32 n;
  u32 pages[SEG_EARLY_MAX]; /* private ones of the live segment */
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

void stand_in_free(struct stand_in *p) {
  region_free(p->place);
  __atomic_sub_fetch(&places, 1, __ATOMIC_RELAXED);
  kfree(p);
}

void stand_in_drop(struct region *r) {
  struct stand_in *p = r->stand_in;
  if (!p)
    return;
  r->stand_in = NULL;
  stand_in_free(p);
}

void stand_in_return(struct region *r, struct stand_in *p) {
  if (r->stand_in || r->group != p->place->group)
    stand_in_free(p);
  else
    r->stand_in = p;
}

/* ---- making it ready ------------------------------------------------------------------------- */

static bool is_large(const struct seg *s) { return !s->frozen && s->absorbed && s->top > s->lo; }

/* The one large live segment; NULL: there is none, or r is not simple enough. */
static struct seg *worthy(const struct region *r) {
  struct seg *live = NULL;
  if (region_is_zygote(r) || r->unmovable || r->map.n > EXTENTS_MAX)
    return NULL;
  for (u32 i = 0; i < r->n_segs; i++) {
    struct seg *s = r->segs[i];
    if (seg_is_shared_object(s) || (is_large(s) && live))
      return NULL;
    live = is_large(s) ? s : live;
  }
  for (u32 i = 0; i < r->map.n; i++) {
    const struct extent *e = &r->map.v[i];
    if ((e->kind == EXTENT_ANON || e->kind == EXTENT_LAZY) && e->prot != RW)
      return NULL;
  }
  return live;
}

struct populate {
  u64 from, to; /* bases */
  u64 advice;
};

static int populate_run(void *arg, u64 at, u64 end) {
  const struct populate *p = arg;
  return LX_RETRY(lx3(madvise, at - p->from + p->to, end - at, p->advice)) ? -ENOMEM : 0;
}

static int note_page(void *arg, u64 at, u64 end) {
  struct region *place = arg;
  for (; at < end; at += PAGE_SIZE) {
    if (place->n_warm == NOTED_MAX)
      return -E2BIG;
    place->warm_pages[place->n_warm++] = (u32)(at - place->base);
  }
  return 0;
}

static int populate_early(struct stand_in *p, const struct seg *s, const struct extent *e) {
  for (u32 i = 0; is_large(s) && i < s->n_early; i++) {
    u32 off = s->early[i].off;
    if (off < e->off || off >= e->end)
      continue;
    if (LX_RETRY(lx3(madvise, region_ptr(p->place, off), PAGE_SIZE, LX_MADV_POPULATE_WRITE)))
      return -ENOMEM;
    p->pages[p->n++] = off;
  }
  return 0;
}

/* Maps e and enters it in the place's books, if it is not there. */
static int map_there(struct region *place, const struct extent *e) {
  if (extents_at(&place->map, e->off))
    return 0;
  int err = e->seg ? seg_get_to_know(place, e->seg) : 0;
  if (!err)
    err = e->seg ? seg_map_private(place, e, e->prot) : host_map(place, e);
  if (err)
    return err;
  if (e->obj)
    memobj_get(e->obj);
  if (e->kind == EXTENT_ANON)
    anon_account(place, pages_of(e->off, e->end));
  extents_add_inherited(&place->map, e);
  return 0;
}

/* What the region reads there without a fault it shall read here so; the pages that it has for
   itself fork will copy. */
static int fill_frozen(struct region *r, struct stand_in *p, const struct extent *e) {
  struct region *place = p->place;
  struct populate read = {r->base, place->base, LX_MADV_POPULATE_READ};
  struct populate write = {r->base, place->base, LX_MADV_POPULATE_WRITE};
  u64 from = place->base + e->off, to = place->base + e->end;
  int err = pagemap_each_present(r->base + e->off, r->base + e->end, populate_run, &read);
  if (!err)
    err = seg_each_private(r, e->seg, e->off, e->end, populate_run, &write, NULL);
  if (!err)
    err = pagemap_each_private(from, to, note_page, place, NULL);
  p->noted = p->noted && (e->seg->tracked != r || written_follow(from, to));
  return err;
}

static int fill_extent(struct region *r, struct stand_in *p, const struct extent *e) {
  struct populate read = {r->base, p->place->base, LX_MADV_POPULATE_READ};
  struct populate write = {r->base, p->place->base, LX_MADV_POPULATE_WRITE};
  u64 from = r->base + e->off, to = r->base + e->end;
  switch ((enum extent_kind)e->kind) {
  case EXTENT_ANON:
    return pagemap_each_private(from, to, populate_run, &write, NULL);
  case EXTENT_OBJECT:
    return pagemap_each_present(from, to, populate_run, &read);
  case EXTENT_LAZY:
    return e->seg->frozen ? fill_frozen(r, p, e) : populate_early(p, e->seg, e);
  case EXTENT_EMPTY:
    break;
  }
  return 0;
}

/* Private pages that it has of live segments have the contents of a time that is over. */
static int forget_live(struct region *place) {
  int err = 0;
  for (u32 i = 0; i < place->map.n && !err; i++)
    if (place->map.v[i].seg && !place->map.v[i].seg->frozen)
      err = seg_map_private(place, &place->map.v[i], place->map.v[i].prot);
  return err;
}

static int make_ready(struct region *r, struct stand_in *p) {
  struct region *place = p->place;
  if (!place->warm_pages)
    place->warm_pages = kmalloc(NOTED_MAX * sizeof(*place->warm_pages));
  p->n = place->n_warm = 0;
  p->noted = true;
  if (!place->warm_pages || extents_reserve(&place->map, r->map.n + 2))
    return -ENOMEM;
  int err = region_drop_strangers(place, &r->map);
  if (!err)
    err = forget_live(place);
  for (u32 i = 0; i < r->map.n && !err; i++)
    if (r->map.v[i].kind != EXTENT_EMPTY)
      err = map_there(place, &r->map.v[i]);
  for (u32 i = 0; i < r->map.n && !err; i++)
    err = fill_extent(r, p, &r->map.v[i]);
  p->remaps = place->remaps;
  return err;
}

bool stand_in_make(struct region *r) {
  struct stand_in *p = r->stand_in;
  bool can = worthy(r) != NULL;
  if (can && !p)
    p = r->stand_in = stand_in_new(r->group);
  if (can && p && make_ready(r, p) == 0)
    return p->ready = true;
  stand_in_drop(r);
  return false;
}

/* ---- using it -------------------------------------------------------------------------------- */

struct seg *stand_in_ready(struct region *r, bool may_move) {
  struct stand_in *p = r->stand_in;
  r->unmovable = !may_move;
  struct seg *live = p && p->ready ? worthy(r) : NULL;
  if (p)
    p->ready = false; /* whatever follows, it will be made anew */
  return live;
}

int stand_in_fill(struct region *r, const struct seg *live) {
  struct stand_in *p = r->stand_in;
  int err = region_copy_hot(p->place, r);
  for (u32 i = 0; i < r->n_segs && !err; i++) {
    struct seg *s = r->segs[i];
    err = seg_get_to_know(p->place, s);
    if (!err && s->frozen)
      err = seg_copy_frozen(r, p->place, s, !s->refreshed);
  }
  for (u32 i = 0; i < r->map.n && !err; i++)
    if (r->map.v[i].seg == live)
      err = map_there(p->place, &r->map.v[i]);
  return err;
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
static void leave_alias(struct region *place, struct seg *s) {
  for (u32 i = 0; i < place->map.n;) {
    struct extent e = place->map.v[i];
    if (e.seg == s)
      extents_remove(&place->map, e.off, e.end);
    else
      i++;
  }
  seg_forget(place, s);
  seg_put(s);
}

void stand_in_use(struct region *r, struct seg *s) {
  struct stand_in *p = r->stand_in;
  bool noted = p->noted && p->place->remaps == p->remaps;
  seg_spare_drop(s);
  r->stand_in = NULL;
  s->home = p;
  s->alias = r->base;
  change_places(r, p->place);
  leave_alias(p->place, s);
  r->watched = false;
  s->tracked = NULL;
  for (u32 i = 0; i < r->n_segs; i++)
    if (!noted && r->segs[i]->tracked == r)
      r->segs[i]->tracked = NULL;
  for (u32 i = 0; i < p->n; i++) {
    const struct extent *e = extents_at(&r->map, p->pages[i]);
    if (e && e->seg == s)
      memcpy(region_ptr(r, p->pages[i]), (const void *)(s->alias + p->pages[i]), PAGE_SIZE);
  }
}
