/* SPDX-License-Identifier: MIT */
/*
 * A segment that grows large takes in the small anonymous mappings around it and starts at its GiB
 * from then on, so that freezing it moves whole page tables: O(1) instead of one step per 2 MiB.
 * A region that fork will move has no anonymous memory at all, as this is what fork has to copy.
 */
#include "kernel/errno.h"
#include "plat/hosted/linux.h"
#include "plat/hosted/pagemap.h"
#include "plat/hosted/seg.h"

#define RW (REGION_READ | REGION_WRITE)
#ifndef ABSORB_FROM
#define ABSORB_FROM (8u << 20)
#endif
#define ZYGOTE_ABSORB_FROM (1u << 20) /* its workers write few of these pages */

struct sink {
  const struct seg *s;
  u64 base;
};

static int write_run(void *arg, u64 from, u64 to) {
  const struct sink *w = arg;
  return seg_write(w->s, (const void *)from, to - from, from - w->base);
}

static void belongs_to(struct region *r, struct seg *s, struct extent *e) {
  anon_account(r, -(i64)pages_of(e->off, e->end));
  e->kind = EXTENT_LAZY;
  e->seg = s;
}

/* Turns anonymous extent i, inside the span, into one of s. If user code runs, who writes to it
   meanwhile waits in region_fault. */
static int absorb_extent(struct region *r, struct seg *s, u32 i, bool running) {
  struct extent *e = &r->map.v[i];
  struct sink w = {s, r->base};
  int err = 0;
  r->steps += running;
  if (e->prot != REGION_READ && (running || e->prot == 0))
    err = host_protect(r, e->off, e->end, REGION_READ);
  if (!err)
    err = pagemap_each_private(r->base + e->off, r->base + e->end, write_run, &w, NULL);
  if (!err)
    err = seg_map_span(r, s, e->off, e->end);
  if (err) {
    memobj_punch(s->obj, e->off, e->end - e->off);
    host_protect(r, e->off, e->end, e->prot);
    return err;
  }
  seg_spare_cover(s, e->off, e->end, false);
  belongs_to(r, s, e);
  return seg_protect(r, s, e->off, e->end, RW, e->prot);
}

/* Does anything but holes and anonymous memory lie in [lo, s->lo)? */
static bool may_extend_down(const struct region *r, const struct seg *s, u32 lo) {
  for (u32 i = extents_find(&r->map, lo); i < r->map.n && r->map.v[i].off < s->lo; i++)
    if (r->map.v[i].kind != EXTENT_EMPTY && r->map.v[i].kind != EXTENT_ANON)
      return false;
  for (u32 i = 0; i < r->n_segs; i++)
    if (r->segs[i] != s && !r->segs[i]->frozen && r->segs[i]->lo < s->lo && r->segs[i]->end > lo)
      return false;
  return true;
}

/* Takes in the anonymous extents inside s's span; inaccessible ones only if nobody could tell that
   they are not for a moment. */
static int absorb_inside(struct region *r, struct seg *s, bool running) {
  int err = 0;
  for (u32 i = extents_find(&r->map, s->lo); i < r->map.n && r->map.v[i].off < s->top && !err; i++)
    if (r->map.v[i].kind == EXTENT_ANON && r->map.v[i].end <= s->top &&
        (r->map.v[i].prot || !running))
      err = absorb_extent(r, s, i, running);
  extents_merge(&r->map, s->lo, s->top);
  return err;
}

bool seg_is_large(const struct region *r, const struct seg *s) {
  return !s->frozen && s->top - s->lo >= (region_is_zygote(r) ? ZYGOTE_ABSORB_FROM : ABSORB_FROM) &&
         !seg_is_shared_object(s);
}

struct seg *seg_absorbing(struct region *r, u32 off, u32 end) {
  for (u32 i = 0; i < r->n_segs; i++) {
    struct seg *s = r->segs[i];
    if (s->absorbed && off >= s->lo && end <= s->top && seg_is_large(r, s))
      return s;
  }
  return NULL;
}

/* The span grows down to its GiB. */
static int extend_down(struct region *r, struct seg *s) {
  u32 lo = (u32)round_down(s->lo, GIB(1));
  if (lo < GIB(1) || !may_extend_down(r, s, lo))
    return -EBUSY;
  int err = seg_fill_holes(r, s, lo, s->lo);
  if (!err)
    s->lo = lo;
  s->absorbed = true;
  return err;
}

/* ---- all anonymous memory -------------------------------------------------------------------- */

/* What s has taken in without mapping it is anonymous again. */
static void bring_back(struct region *r, const struct seg *s, const struct extent *e) {
  u64 len = e->end - e->off;
  if (host_map(r, e) ||
      LX_RETRY(lx4(pread64, s->obj->fd, region_ptr(r, e->off), len, e->off)) != (i64)len)
    plat_panic("cannot undo the move of anonymous memory to a segment");
}

/* Turns extent i, inside the span of s or where that can grow to, into one of s. Who writes to it
   meanwhile waits in region_fault. */
static int take_in(struct region *r, struct seg *s, u32 i) {
  struct extent *e = &r->map.v[i];
  struct sink w = {s, r->base};
  if (e->off < s->top)
    return absorb_extent(r, s, i, true);
  r->steps++;
  int err = host_protect(r, e->off, e->end, REGION_READ);
  if (!err)
    err = memobj_resize(s->obj, e->end);
  if (!err)
    err = pagemap_each_private(r->base + e->off, r->base + e->end, write_run, &w, NULL);
  if (err) {
    memobj_resize(s->obj, s->top);
    host_protect(r, e->off, e->end, e->prot);
    return err;
  }
  err = seg_map(r, s, e->off, e->end, e->prot);
  if (err) {
    bring_back(r, s, e);
    return err;
  }
  belongs_to(r, s, e);
  return 0;
}

int seg_absorb_all(struct region *r) {
  int err = 0;
  for (u32 i = 0; i < r->map.n && !err; i++) {
    const struct extent *e = &r->map.v[i];
    if (e->kind != EXTENT_ANON || e->prot != RW)
      continue;
    struct seg *s = seg_for(r, e->off);
    err = s ? take_in(r, s, i) : -ENOMEM;
  }
  extents_merge(&r->map, 0, UINT32_MAX);
  seg_drop_unused(r);
  return err;
}

/* ---- a large segment ------------------------------------------------------------------------- */

int seg_absorb(struct region *r, struct seg *s, bool running) {
  if (!seg_is_large(r, s))
    return 0;
  int err = s->absorbed ? 0 : extend_down(r, s);
  return err == -EBUSY ? 0 : err ? err : absorb_inside(r, s, running);
}
