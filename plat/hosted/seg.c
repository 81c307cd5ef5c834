/* SPDX-License-Identifier: MIT */
/* Lazy segments while they are live. */
#include "plat/hosted/seg.h"
#include "kernel/errno.h"
#include "kernel/mm/kmalloc.h"
#include "plat/hosted/linux.h"
#include "plat/hosted/pagemap.h"
#include "plat/hosted/written.h"

#define RW (REGION_READ | REGION_WRITE)
#define GAP_MAX (64u << 20) /* a larger hole inside a segment starts another one */
#define REGION_END 0x100000000UL

static bool have_guards;

/* Tries guard pages on a shared file mapping (Linux 6.15). */
void seg_init(void) {
  written_init();
  i64 fd = lx2(memfd_create, "ufork-probe", LX_MFD_CLOEXEC);
  if (fd < 0)
    return;
  lx2(ftruncate, fd, PAGE_SIZE);
  i64 p = lx6(mmap, NULL, PAGE_SIZE, RW, LX_MAP_SHARED, fd, 0);
  if (!lx_failed(p)) {
    have_guards = lx3(madvise, p, PAGE_SIZE, LX_MADV_GUARD_INSTALL) == 0;
    lx2(munmap, p, PAGE_SIZE);
  }
  lx1(close, fd);
}

bool seg_have_guards(void) { return have_guards; }

/* ---- the table ------------------------------------------------------------------------------- */

static struct seg *seg_new(struct region *r, u32 lo) {
  if (r->n_segs >= REGION_SEGS_MAX || parked_drop(r, 0, UINT32_MAX)) /* it will grow over holes */
    return NULL;
  struct seg *s = kzalloc(sizeof(*s));
  if (!s)
    return NULL;
  if (memobj_create(0, &s->obj)) {
    kfree(s);
    return NULL;
  }
  s->refs = s->sharers = 1;
  s->owners = (u64)r;
  list_init(&s->thaw_node);
  s->lo = s->top = lo;
  s->end = lo;
  r->segs[r->n_segs++] = s;
  return s;
}

void seg_free(struct seg *s) {
  seg_spare_drop(s);
  memobj_put(s->obj);
  extents_free(&s->shape);
  kfree(s->pieces);
  kfree(s->written.v);
  kfree(s);
}

int seg_enter(struct region *r, struct seg *s) {
  if (r->n_segs >= REGION_SEGS_MAX || parked_drop(r, 0, UINT32_MAX))
    return -ENOMEM;
  r->segs[r->n_segs++] = s;
  return 0;
}

void seg_forget(struct region *r, struct seg *s) {
  for (u32 i = 0; i < r->n_segs; i++)
    if (r->segs[i] == s) {
      r->segs[i] = r->segs[--r->n_segs];
      return;
    }
}

/* Can s grow up to off? Nothing but holes may lie between. */
static bool reaches(const struct region *r, const struct seg *s, u32 off) {
  if (s->frozen || off < s->lo || off > s->top + (u64)GAP_MAX)
    return false;
  for (u32 i = extents_find(&r->map, s->top); i < r->map.n && r->map.v[i].off < off; i++)
    if (r->map.v[i].kind != EXTENT_EMPTY)
      return false;
  for (u32 i = 0; i < r->n_segs; i++) {
    struct seg *t = r->segs[i];
    if (t != s && !t->frozen && t->lo > s->lo && t->lo < off)
      return false;
  }
  return true;
}

struct seg *seg_for(struct region *r, u32 off) {
  if (!pagemap_available())
    return NULL;
  for (u32 i = 0; i < r->n_segs; i++)
    if (reaches(r, r->segs[i], off))
      return r->segs[i];
  return seg_new(r, off);
}

/* ---- host mappings --------------------------------------------------------------------------- */

int seg_map_span(struct region *r, struct seg *s, u64 from, u64 to) {
  r->remaps++;
  i64 p = lx6(mmap, r->base + from, to - from, RW, LX_MAP_SHARED | LX_MAP_FIXED | LX_MAP_NORESERVE,
              s->obj->fd, from);
  return lx_failed(p) ? -ENOMEM : 0;
}

int seg_map_prot(struct region *r, struct seg *s, u32 from, u32 to, int prot) {
  r->remaps++;
  i64 p = lx6(mmap, r->base + from, to - from, prot,
              LX_MAP_SHARED | LX_MAP_FIXED | LX_MAP_NORESERVE, s->obj->fd, from);
  if (lx_failed(p))
    return -ENOMEM;
  if (prot || !have_guards)
    return 0;
  i64 err = LX_RETRY(lx3(madvise, p, to - from, LX_MADV_GUARD_INSTALL));
  return err || host_protect(r, from, to, RW) ? -ENOMEM : 0;
}

int seg_write(const struct seg *s, const void *from, u64 len, u64 at) {
  while (len > 0) {
    i64 n = LX_RETRY(lx4(pwrite64, s->obj->fd, from, len, at));
    if (n <= 0)
      return -ENOMEM;
    from = (const u8 *)from + n;
    at += (u64)n;
    len -= (u64)n;
  }
  return 0;
}

bool seg_is_shared_object(const struct seg *s) {
  return __atomic_load_n(&s->obj->refs, __ATOMIC_SEQ_CST) > 1;
}

static void note_cover(struct seg *s, u32 from, u32 to) {
  seg_spare_cover(s, from, to, true);
  if (to > s->cover_hi)
    s->cover_hi = to;
}

/* Makes [from, to) of the span inaccessible without giving up its contents. */
static int cover(struct region *r, struct seg *s, u32 from, u32 to) {
  if (from >= to)
    return 0;
  i64 err = have_guards
                ? LX_RETRY(lx3(madvise, region_ptr(r, from), to - from, LX_MADV_GUARD_INSTALL))
                : lx3(mprotect, region_ptr(r, from), to - from, LX_PROT_NONE);
  if (!err)
    note_cover(s, from, to);
  return err ? -ENOMEM : 0;
}

static int uncover(struct region *r, struct seg *s, u32 from, u32 to) {
  if (to > s->cover_hi)
    to = s->cover_hi;
  if (from >= to)
    return 0;
  i64 err = have_guards
                ? LX_RETRY(lx3(madvise, region_ptr(r, from), to - from, LX_MADV_GUARD_REMOVE))
                : lx3(mprotect, region_ptr(r, from), to - from, RW);
  if (!err)
    seg_spare_cover(s, from, to, false);
  return err ? -ENOMEM : 0;
}

/* How far the host mapping may reach when extents end at `top`: to the next GiB, so that its page
   tables can be moved as a whole, unless something else is there. */
u64 seg_padded_end(const struct region *r, const struct seg *s, u32 top) {
  u64 end = round_up(top, GIB(1));
  u32 next = extents_find(&r->map, top);
  while (next < r->map.n && r->map.v[next].kind == EXTENT_EMPTY)
    next++;
  if (next < r->map.n)
    end = min_u64(end, max_u64(r->map.v[next].off, top));
  for (u32 i = 0; i < r->n_segs; i++)
    if (r->segs[i] != s && !r->segs[i]->frozen && r->segs[i]->lo >= top)
      end = min_u64(end, r->segs[i]->lo);
  return min_u64(end, REGION_END);
}

int seg_make_way(struct region *r, const struct seg *except, u32 off) {
  for (u32 i = 0; i < r->n_segs; i++) {
    struct seg *s = r->segs[i];
    if (s == except || s->frozen || s->end <= off || s->top > off)
      continue;
    if (lx2(munmap, r->base + off, s->end - off))
      return -ENOMEM;
    s->end = off;
  }
  return 0;
}

int seg_close_over(struct region *r, u32 off, u32 end) {
  for (u32 i = 0; i < r->n_segs; i++) {
    struct seg *s = r->segs[i];
    u32 from = off > s->lo ? off : s->lo;
    u64 to = min_u64(end, s->end);
    if (s->frozen || from >= to)
      continue;
    int err = seg_map_span(r, s, from, to);
    if (!err)
      err = cover(r, s, from, to < s->top ? (u32)to : s->top);
    if (err)
      return err;
  }
  return 0;
}

int seg_each_gap(const struct region *r, u32 from, u32 to, int (*f)(void *arg, u64 at, u64 end),
                 void *arg) {
  int err = 0;
  for (u32 i = extents_find(&r->map, from); from < to && !err; i++) {
    const struct extent *e = i < r->map.n && r->map.v[i].off < to ? &r->map.v[i] : NULL;
    if (e && e->kind == EXTENT_EMPTY)
      continue;
    u32 end = e ? e->off : to;
    if (end > from)
      err = f(arg, from, end);
    from = e ? e->end : to;
  }
  return err;
}

struct holes {
  struct region *r;
  struct seg *s;
};

/* At no time can it be accessed. */
static int fill_hole(void *arg, u64 at, u64 end) {
  const struct holes *h = arg;
  int err = seg_map_prot(h->r, h->s, (u32)at, (u32)end, 0);
  if (!err)
    note_cover(h->s, (u32)at, (u32)end);
  return err;
}

static int empty_hole(void *arg, u64 at, u64 end) {
  const struct holes *h = arg;
  return host_unmap(h->r, (u32)at, (u32)end);
}

int seg_fill_holes(struct region *r, struct seg *s, u32 from, u32 to) {
  struct holes h = {r, s};
  int err = seg_each_gap(r, from, to, fill_hole, &h);
  if (err)
    seg_each_gap(r, from, to, empty_hole, &h);
  return err;
}

/* ---- extents --------------------------------------------------------------------------------- */

/* s, which is being thawed, grows up to end, where nothing is mapped: there is nothing to thaw, but
   the object may hold what has been unmapped since the freeze. */
static int pass_by(struct seg *s, struct seg *rest, u32 end) {
  int err = end > s->top ? memobj_punch(s->obj, s->top, end - s->top) : 0;
  if (!err && rest->lo < end)
    rest->lo = end;
  return err;
}

static int grow(struct region *r, struct seg *s, u32 off, u32 end) {
  struct seg *rest = seg_frozen_rest(r, s);
  int err = rest ? pass_by(s, rest, end) : 0;
  if (!err && end > s->end) {
    u64 new_end = rest ? end : seg_padded_end(r, s, end);
    err = seg_map_span(r, s, s->end, new_end);
    if (err)
      return err;
    s->end = new_end;
  }
  if (end > s->top) {
    if (off > s->top)
      err = cover(r, s, s->top, off);
    if (!err)
      err = uncover(r, s, off > s->top ? off : s->top, end);
    if (!err && end > s->obj->size)
      err = memobj_resize(s->obj, end);
    if (!err)
      s->top = end;
  }
  return err;
}

/* Spans of live segments do not overlap: one whose low end lies in [off, end), where it has no
   extents any more, shrinks. */
static void raise_others(struct region *r, const struct seg *s, u32 off, u32 end) {
  for (u32 i = 0; i < r->n_segs; i++) {
    struct seg *t = r->segs[i];
    if (t != s && !t->frozen && t->lo >= off && t->lo < end)
      t->lo = end;
  }
}

int seg_map(struct region *r, struct seg *s, u32 off, u32 end, int prot) {
  u32 old_top = s->top;
  int err = seg_make_way(r, s, off);
  raise_others(r, s, off, end);
  if (!err)
    err = grow(r, s, off, end);
  if (!err && off < old_top)
    err = uncover(r, s, off, end < old_top ? end : old_top);
  if (!err && prot != RW)
    err = seg_protect(r, s, off, end, RW, prot);
  if (err && off < s->top)
    cover(r, s, off, end < s->top ? end : s->top);
  if (!err && !s->announced && seg_is_large(r, s) && !r->is_child) {
    s->announced = true;
    seg_announce(s);
  }
  return err;
}

/* End of the highest extent of s that starts below `below`. */
static u32 highest_end(const struct region *r, const struct seg *s, u32 below) {
  for (u32 i = extents_find(&r->map, below); i-- > 0;)
    if (r->map.v[i].seg == s)
      return r->map.v[i].end;
  return s->lo;
}

static bool is_foreign(const struct seg *s, const struct extent *e) {
  return e->kind != EXTENT_EMPTY && e->seg != s;
}

/* The tail beyond top may not reach past a foreign mapping: gives up what does. */
static int trim_tail(struct region *r, struct seg *s) {
  u64 at = 0, end = s->end;
  int err = 0;
  for (u32 i = extents_find(&r->map, s->top); i < r->map.n && !err; i++) {
    const struct extent *e = &r->map.v[i];
    if (e->off >= end)
      break;
    if (!is_foreign(s, e))
      continue;
    if (at == 0)
      s->end = at = max_u64(e->off, s->top);
    if (e->off > at)
      err = (int)lx2(munmap, r->base + at, e->off - at);
    at = e->end;
  }
  if (!err && at != 0 && at < end)
    err = (int)lx2(munmap, r->base + at, end - at);
  return err ? -ENOMEM : 0;
}

int seg_unmap(struct region *r, struct seg *s, u32 off, u32 end, int prot) {
  if (end < s->top || seg_frozen_rest(r, s)) {
    int err = seg_protect(r, s, off, end, prot, 0);
    return err ? err : memobj_punch(s->obj, off, end - off);
  }
  /* The end of the segment: the object becomes shorter, which takes the pages away. */
  u32 top = highest_end(r, s, off);
  int err = have_guards && prot != REGION_READ ? 0 : host_protect(r, top, end, RW);
  if (!err)
    err = memobj_resize(s->obj, top);
  if (err)
    return err;
  s->top = top;
  return trim_tail(r, s);
}

int seg_protect(struct region *r, struct seg *s, u32 off, u32 end, int from, int to) {
  int err = 0;
  if (from == to)
    return 0;
  if (from == REGION_READ) /* a VMA of its own until now */
    err = host_protect(r, off, end, RW);
  if (!err && from == 0)
    err = uncover(r, s, off, end);
  if (!err && to == 0)
    err = cover(r, s, off, end);
  if (!err && to == REGION_READ)
    err = host_protect(r, off, end, REGION_READ);
  return err ? -ENOMEM : 0;
}

/* ---- pieces ---------------------------------------------------------------------------------- */

struct sweep {
  u64 from, to; /* what has been gathered */
  int prot;     /* -1: not ours */
  int (*f)(void *arg, u64 from, u64 to, int prot);
  void *arg;
};

/* [p->to, to) has protection prot. */
static int extend(struct sweep *p, u64 to, int prot) {
  int err = 0;
  if (to <= p->to)
    return 0;
  if (prot != p->prot) {
    if (p->prot >= 0 && p->to > p->from)
      err = p->f(p->arg, p->from, p->to, p->prot);
    p->from = p->to;
    p->prot = prot;
  }
  p->to = to;
  return err;
}

/* Protection of the host VMA at a covered place. */
static int cover_prot(void) { return have_guards ? RW : 0; }

static int piece_prot(const struct seg *s, const struct extent *e) {
  if (e->kind == EXTENT_EMPTY)
    return cover_prot();
  if (e->seg != s)
    return -1;
  return e->prot == 0 ? cover_prot() : e->prot;
}

int seg_each_piece(struct region *r, struct seg *s, int (*f)(void *arg, u64 from, u64 to, int prot),
                   void *arg) {
  struct sweep p = {s->lo, s->lo, RW, f, arg};
  int err = 0;
  for (u32 i = extents_find(&r->map, s->lo); i < r->map.n && !err; i++) {
    const struct extent *e = &r->map.v[i];
    if (e->off >= s->top)
      break;
    u64 end = e->kind == EXTENT_EMPTY && e->end > s->top ? s->top : e->end;
    err = extend(&p, e->off, cover_prot());
    if (!err)
      err = extend(&p, end, piece_prot(s, e));
  }
  if (!err)
    err = extend(&p, s->top, cover_prot());
  if (!err)
    err = extend(&p, s->end, RW);
  if (!err && p.prot >= 0 && p.to > p.from)
    err = f(arg, p.from, p.to, p.prot);
  return err;
}

static int unmap_piece(void *arg, u64 from, u64 to, int prot) {
  struct region *r = arg;
  (void)prot;
  return (int)lx2(munmap, r->base + from, to - from);
}

bool seg_is_used(const struct region *r, const struct seg *s) {
  for (u32 i = 0; i < r->map.n; i++)
    if (r->map.v[i].seg == s)
      return true;
  return false;
}

void seg_drop_unused(struct region *r) {
  for (u32 i = 0; i < r->n_segs;) {
    struct seg *s = r->segs[i];
    /* Another's that a warm region knows may be thawed meanwhile; it has no live part here. */
    bool frozen = seg_is_frozen(s);
    struct seg *live = frozen ? seg_live_part(r, s) : NULL;
    if (seg_is_used(r, s)) {
      i++;
      continue;
    }
    if (live) { /* nothing is left to thaw */
      seg_thaw_done(r, s, live);
      i = 0;
      continue;
    }
    /* A warm region may know a segment that has been thawed since: its span is that of the owner.
     */
    if (!frozen && !r->warm)
      seg_each_piece(r, s, unmap_piece, r);
    seg_leave(r, s);
  }
}
