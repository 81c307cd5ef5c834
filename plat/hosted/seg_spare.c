/* SPDX-License-Identifier: MIT */
/*
 * A spare of a large live segment: the private mapping that the next freeze puts in its place, made
 * ahead by the thaw thread out of all µprocesses' reach. It is one host mapping, in which guard
 * pages cover what has no extent, and it has private pages already where the µprocess wrote soon
 * after its last forks (early.c). fork moves it, and copies the frozen contents to these pages.
 *
 * What covers and uncovers the live segment does so with its spare. Where the two differ more, the
 * spare is given up, and fork maps extent by extent.
 */
#include "kernel/errno.h"
#include "kernel/mm/kmalloc.h"
#include "lib/string.h"
#include "plat/hosted/linux.h"
#include "plat/hosted/seg.h"

#define RW (REGION_READ | REGION_WRITE)
#define COVERED_MAX (64u << 20) /* guard pages have page tables */
#define EXTENTS_MAX 24          /* while frozen there is a host mapping for each that changes */

struct spare {
  u64 base; /* page `off` is at base + off */
  u32 slot;
  u32 lo, end; /* of the host mapping */
  u32 n;       /* private pages, among them all that there are */
  u32 pages[EARLY_PAGES_MAX];
};

static bool is_mine(const struct extent *e, const struct seg *s) {
  return e->kind == EXTENT_LAZY && e->seg == s;
}

/* ---- making one ------------------------------------------------------------------------------ */

static int sum_gap(void *arg, u64 at, u64 end) {
  *(u64 *)arg += end - at;
  return 0;
}

static int cover_gap(void *arg, u64 at, u64 end) {
  u64 base = *(u64 *)arg;
  return (int)LX_RETRY(lx3(madvise, base + at, end - at, LX_MADV_GUARD_INSTALL));
}

static int count_piece(void *arg, u64 from, u64 to, int prot) {
  (void)from, (void)to;
  *(u32 *)arg += prot == RW ? 1 : 2;
  return 0;
}

/* One host mapping, of which all is accessible that has an extent. */
static bool is_plain(struct region *r, struct seg *s) {
  u32 pieces = 0, extents = 0;
  u64 gaps = 0;
  seg_each_piece(r, s, count_piece, &pieces);
  seg_each_gap(r, s->lo, s->top, sum_gap, &gaps);
  for (u32 i = extents_find(&r->map, s->lo); i < r->map.n && r->map.v[i].off < s->top; i++) {
    if (is_mine(&r->map.v[i], s) && r->map.v[i].prot != RW)
      return false;
    extents++;
  }
  return pieces == 1 && gaps <= COVERED_MAX && extents <= EXTENTS_MAX;
}

static void free_spare(struct spare *p) {
  alias_give(p->slot);
  kfree(p);
}

void seg_spare_drop(struct seg *s) {
  struct spare *p = s->spare;
  if (!p)
    return;
  s->spare = NULL;
  lx2(munmap, p->base + p->lo, p->end - p->lo);
  free_spare(p);
}

static int populate(struct region *r, struct seg *s, struct spare *p) {
  int err = 0;
  for (u32 i = 0; i < r->map.n && !err; i++)
    if (is_mine(&r->map.v[i], s))
      err = early_populate(r, p->base, &r->map.v[i], p->pages, &p->n);
  return err;
}

void seg_spare_make(struct region *r, struct seg *s) {
  if (s->frozen || s->spare || !s->absorbed || s->top <= s->lo || seg_is_shared_object(s) ||
      region_is_zygote(r) || !seg_have_guards() || !is_plain(r, s))
    return;
  struct spare *p = kzalloc(sizeof(*p));
  if (!p)
    return;
  if (alias_take(&p->slot, &p->base)) {
    kfree(p);
    return;
  }
  p->lo = s->lo;
  p->end = s->top;
  s->spare = p;
  i64 at = lx6(mmap, p->base + p->lo, p->end - p->lo, RW,
               LX_MAP_PRIVATE | LX_MAP_FIXED | LX_MAP_NORESERVE, s->obj->fd, p->lo);
  if (lx_failed(at) || seg_each_gap(r, s->lo, s->top, cover_gap, &p->base) || populate(r, s, p))
    seg_spare_drop(s);
}

void seg_spare_cover(struct seg *s, u32 from, u32 to, bool covered) {
  struct spare *p = s->spare;
  if (!p)
    return;
  from = from > p->lo ? from : p->lo;
  to = to < p->end ? to : p->end;
  if (from < to && LX_RETRY(lx3(madvise, p->base + from, to - from,
                                covered ? LX_MADV_GUARD_INSTALL : LX_MADV_GUARD_REMOVE)))
    seg_spare_drop(s);
}

/* ---- using it -------------------------------------------------------------------------------- */

static bool is_fit(struct region *r, struct seg *s) {
  const struct spare *p = s->spare;
  const struct piece *all = s->pieces;
  return p && s->n_pieces == 1 && all->prot == RW && p->lo == all->from && p->end <= s->top &&
         is_plain(r, s);
}

/* Extents that the segment has got since, above the spare. */
static int map_rest(struct region *r, struct seg *s, u32 from) {
  int err = 0;
  for (u32 i = extents_find(&r->map, from); i < r->map.n && !err; i++) {
    struct extent e = r->map.v[i];
    if (!is_mine(&e, s))
      continue;
    e.off = e.off > from ? e.off : from;
    err = seg_map_private(r, &e, e.prot);
  }
  return err;
}

int seg_spare_use(struct region *r, struct seg *s) {
  struct spare *p = s->spare;
  if (!is_fit(r, s)) {
    seg_spare_drop(s);
    return 0;
  }
  u64 len = p->end - p->lo;
  r->remaps++;
  i64 at =
      lx5(mremap, p->base + p->lo, len, len, LX_MREMAP_MAYMOVE | LX_MREMAP_FIXED, r->base + p->lo);
  if (lx_failed(at)) {
    seg_spare_drop(s);
    return -ENOMEM;
  }
  s->spare = NULL;
  int err = map_rest(r, s, p->end);
  for (u32 i = 0; i < p->n && !err; i++) {
    const struct extent *e = extents_at(&r->map, p->pages[i]);
    if (e && is_mine(e, s) && e->prot == RW)
      memcpy(region_ptr(r, p->pages[i]), (const void *)(s->alias + p->pages[i]), PAGE_SIZE);
  }
  if (!err) {
    __atomic_store_n(&s->whole, r, __ATOMIC_RELAXED);
    s->whole_lo = p->lo;
    s->whole_hi = p->end;
    s->tracked = NULL;
    r->watched = false;
  }
  free_spare(p);
  return err ? err : 1;
}

/* ---- the gaps of one that has been used ------------------------------------------------------ */

/* Spans of live segments lie in gaps, too. */
static int unmap_gap(void *arg, u64 at, u64 end) {
  struct region *r = arg;
  for (u32 i = 0; i < r->n_segs; i++) {
    const struct seg *u = r->segs[i];
    if (seg_is_frozen(u) || u->end <= at || u->lo >= end)
      continue;
    int err = u->lo > at ? unmap_gap(arg, at, u->lo) : 0;
    return err || u->end >= end ? err : unmap_gap(arg, u->end, end);
  }
  return host_unmap(r, (u32)at, (u32)end);
}

void seg_close_gaps(struct region *r, struct seg *s, u32 from) {
  if (__atomic_load_n(&s->whole, __ATOMIC_RELAXED) != r)
    return;
  from = from > s->whole_lo ? from : s->whole_lo;
  seg_each_gap(r, from, s->whole_hi, unmap_gap, r);
  __atomic_store_n(&s->whole, NULL, __ATOMIC_RELAXED);
}
