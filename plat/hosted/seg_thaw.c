/* SPDX-License-Identifier: MIT */
/*
 * Thawing: the last sharer of a frozen segment gets the object for itself again. First everything
 * is copied that has to be, which changes nothing that anybody sees; then mappings move.
 *
 * Live segments that grew beside the frozen one are taken into it, so that spans do not overlap.
 * Their pages were written by the µprocess since the fork, so this costs less than that did.
 */
#include "kernel/errno.h"
#include "kernel/mm/kmalloc.h"
#include "plat/hosted/linux.h"
#include "plat/hosted/pagemap.h"
#include "plat/hosted/seg.h"

#define RW (REGION_READ | REGION_WRITE)
#define SEEK_DATA 3
#define SEEK_HOLE 4

struct write_back {
  struct seg *s;
  u64 base;
};

static int write_run(void *arg, u64 from, u64 to) {
  const struct write_back *w = arg;
  return seg_write(w->s, (const void *)from, to - from, from - w->base);
}

/* The region's private pages of s go to the object. */
static int write_back(struct region *r, struct seg *s) {
  struct write_back w = {s, r->base};
  int err = 0;
  for (u32 i = 0; i < r->map.n && !err; i++) {
    const struct extent *e = &r->map.v[i];
    if (e->seg != s)
      continue;
    if (!(e->prot & REGION_READ))
      err = host_protect(r, e->off, e->end, REGION_READ);
    if (!err)
      err = pagemap_each_private(r->base + e->off, r->base + e->end, write_run, &w, NULL);
    if (!(e->prot & REGION_READ))
      host_protect(r, e->off, e->end, e->prot);
  }
  return err;
}

/* Copies extent e of live segment t to s's object. What lies there before is overwritten or
   punched: s has no extent here. */
static int copy_extent(struct region *r, struct seg *t, struct seg *s, const struct extent *e) {
  int err = e->off < s->obj->size ? memobj_punch(s->obj, e->off, e->end - e->off) : 0;
  if (!err && s->obj->size < e->end)
    err = memobj_resize(s->obj, e->end);
  if (!err && !(e->prot & REGION_READ))
    err = seg_protect(r, t, e->off, e->end, e->prot, RW);
  for (i64 at = e->off; !err && at < e->end;) {
    at = lx3(lseek, t->obj->fd, at, SEEK_DATA);
    if (at < 0 || at >= e->end)
      break;
    i64 hole = lx3(lseek, t->obj->fd, at, SEEK_HOLE);
    u64 to = hole < 0 || hole > e->end ? e->end : (u64)hole;
    err = seg_write(s, (const void *)(r->base + (u64)at), to - (u64)at, (u64)at);
    at = (i64)to;
  }
  if (!(e->prot & REGION_READ))
    seg_protect(r, t, e->off, e->end, RW, e->prot);
  return err;
}

static int copy_neighbours(struct region *r, struct seg *s) {
  int err = 0;
  for (u32 i = 0; i < r->map.n && !err; i++) {
    struct seg *t = r->map.v[i].seg;
    if (t && t != s && !t->frozen)
      err = copy_extent(r, t, s, &r->map.v[i]);
  }
  return err;
}

static int unmap_piece(void *arg, u64 from, u64 to, int prot) {
  (void)prot;
  return (int)lx2(munmap, ((struct region *)arg)->base + from, to - from);
}

/* Neighbours' extents become extents of s. */
static void take_over(struct region *r, struct seg *s) {
  for (u32 k = 0; k < r->n_segs;) {
    struct seg *t = r->segs[k];
    if (t == s || t->frozen) {
      k++;
      continue;
    }
    seg_each_piece(r, t, unmap_piece, r);
    for (u32 i = 0; i < r->map.n; i++)
      if (r->map.v[i].seg == t)
        r->map.v[i].seg = s;
    seg_leave(r, t);
  }
}

/* The object must read as zeros outside of the extents. */
static void punch_holes(struct region *r, struct seg *s) {
  u32 at = s->lo;
  for (u32 i = extents_find(&r->map, at); i < r->map.n; i++) {
    const struct extent *e = &r->map.v[i];
    if (e->seg != s)
      continue;
    if (e->off > at)
      memobj_punch(s->obj, at, e->off - at);
    at = e->end;
  }
  memobj_resize(s->obj, at);
  s->top = at;
}

static bool is_foreign(const struct seg *s, const struct extent *e) {
  return e->kind != EXTENT_EMPTY && e->seg != s;
}

/* ---- mappings move back ---------------------------------------------------------------------- */

static void must(int err) {
  if (err)
    plat_panic("cannot move a segment back");
}

/* Maps [from, to), which is free of foreign mappings: pieces from the alias, the rest anew. */
static void land(struct region *r, struct seg *s, u64 from, u64 to) {
  for (u32 i = 0; i < s->n_pieces && from < to; i++) {
    const struct piece *p = &s->pieces[i];
    if (p->to <= from)
      continue;
    if (p->from >= to)
      break;
    if (p->from > from) {
      must(seg_map_span(r, s, from, p->from));
      from = p->from;
    }
    u64 end = min_u64(p->to, to);
    must(lx_failed(lx5(mremap, s->alias + from, end - from, end - from,
                       LX_MREMAP_MAYMOVE | LX_MREMAP_FIXED, r->base + from)));
    from = end;
  }
  if (from < to)
    must(seg_map_span(r, s, from, to));
}

static void land_all(struct region *r, struct seg *s) {
  u64 at = s->lo;
  for (u32 i = extents_find(&r->map, s->lo); i < r->map.n && r->map.v[i].off < s->end; i++) {
    const struct extent *e = &r->map.v[i];
    if (!is_foreign(s, e))
      continue;
    if (e->off > at)
      land(r, s, at, e->off);
    at = max_u64(at, e->end);
  }
  if (at < s->end)
    land(r, s, at, s->end);
}

/* Whatever of the alias found no place. */
static void drop_alias(struct seg *s) {
  for (u32 i = 0; i < s->n_pieces; i++)
    lx2(munmap, s->alias + s->pieces[i].from, s->pieces[i].to - s->pieces[i].from);
  alias_give(s->alias_slot);
}

#define UNKNOWN (-1)

/* State of the host mapping at `at` after landing: what it was when it was frozen; UNKNOWN in what
   was an unused tail. *until: where that may change. */
static int landed_prot(const struct seg *s, u64 at, u64 *until) {
  for (u32 i = 0; i < s->n_pieces; i++) {
    const struct piece *p = &s->pieces[i];
    if (at >= p->to)
      continue;
    *until = min_u64(*until, at < p->from ? p->from : p->to);
    if (at < p->from)
      return RW; /* mapped anew */
    if (at >= s->frozen_top)
      return UNKNOWN;
    *until = min_u64(*until, s->frozen_top);
    u32 k = extents_find(&s->shape, (u32)at);
    if (k == s->shape.n)
      return 0;
    const struct extent *e = &s->shape.v[k];
    *until = min_u64(*until, at < e->off ? e->off : e->end);
    return at < e->off ? 0 : e->prot;
  }
  return RW;
}

/* Brings covers and protections from what they were to what the books say. */
static void adjust(struct region *r, struct seg *s) {
  for (u64 at = s->lo; at < s->top;) {
    u32 k = extents_find(&r->map, (u32)at);
    const struct extent *e = k < r->map.n ? &r->map.v[k] : NULL;
    bool inside = e && at >= e->off;
    u64 until = min_u64(e ? inside ? e->end : e->off : s->top, s->top);
    if (!inside || !is_foreign(s, e)) {
      int want = inside && e->seg == s ? e->prot : 0;
      int have = landed_prot(s, at, &until);
      if (have == UNKNOWN)
        have = want ? 0 : RW;
      must(seg_protect(r, s, (u32)at, (u32)until, have, want));
    }
    at = until;
  }
}

int seg_thaw(struct region *r, struct seg *s) {
  if (!s->frozen || __atomic_load_n(&s->sharers, __ATOMIC_SEQ_CST) != 1)
    return -EBUSY;
  int err = write_back(r, s);
  if (!err)
    err = copy_neighbours(r, s);
  if (err)
    return err;
  s->frozen_top = s->top;
  take_over(r, s);
  u32 first = 0;
  while (first < r->map.n && r->map.v[first].seg != s)
    first++;
  if (first == r->map.n) /* nothing of it is mapped any more */
    return 0;
  if (r->map.v[first].off < s->lo)
    s->lo = r->map.v[first].off;
  punch_holes(r, s);
  s->cover_hi = UINT32_MAX;
  s->end = seg_padded_end(r, s, s->top);
  s->frozen = false;
  s->private_pages = 0;
  s->refresh_ns = 0;
  land_all(r, s);
  drop_alias(s);
  adjust(r, s);
  kfree(s->pieces);
  s->pieces = NULL;
  s->n_pieces = 0;
  extents_free(&s->shape);
  extents_merge(&r->map, s->lo, s->top);
  return 0;
}
