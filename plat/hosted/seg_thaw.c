/* SPDX-License-Identifier: MIT */
/*
 * Thawing: the last sharer of a frozen segment gets the object for itself again, part by part from
 * the low end, while its µprocess runs. Of each part, the region's private pages are written to the
 * object, and the populated mapping comes back from the alias, at once in place of the private one.
 * In between the µprocess can read the part but not write to it: writers wait in region_fault.
 *
 * Segments nearby that the region has to itself as well are copied to the object when thawing
 * reaches them, so that one segment is left. Their pages were written by the µprocess since a fork,
 * so this costs less than that did.
 *
 * Until a part's mapping is replaced nothing has changed that anybody sees, and an error leaves it
 * frozen.
 */
#include "kernel/errno.h"
#include "kernel/mm/kmalloc.h"
#include "plat/hosted/linux.h"
#include "plat/hosted/pagemap.h"
#include "plat/hosted/seg.h"

#define RW (REGION_READ | REGION_WRITE)
#define NEAR (64u << 20)     /* segments that far away are taken in */
#define GAP_STEP (64u << 20) /* holes are passed in strides of this */

/* One thawing: frozen s becomes live. */
struct thaw {
  struct region *r;
  struct seg *s, *live;
};

/* ---- which segments -------------------------------------------------------------------------- */

static bool is_alone(const struct seg *s) {
  return __atomic_load_n(&s->sharers, __ATOMIC_SEQ_CST) == 1;
}

static struct seg *other_part(const struct region *r, const struct seg *s, bool frozen) {
  if (!seg_is_shared_object(s))
    return NULL;
  for (u32 i = 0; i < r->n_segs; i++)
    if (r->segs[i] != s && r->segs[i]->obj == s->obj && seg_is_frozen(r->segs[i]) == frozen)
      return r->segs[i];
  return NULL;
}

struct seg *seg_frozen_rest(const struct region *r, const struct seg *s) {
  return seg_is_frozen(s) ? NULL : other_part(r, s, true);
}

struct seg *seg_live_part(const struct region *r, const struct seg *s) {
  return seg_is_frozen(s) ? other_part(r, s, false) : NULL;
}

/* The segment whose thawing has begun. */
static struct seg *begun(const struct region *r) {
  for (u32 i = 0; i < r->n_segs; i++)
    if (seg_is_frozen(r->segs[i]) && seg_live_part(r, r->segs[i]))
      return r->segs[i];
  return NULL;
}

u64 seg_extent_bytes(const struct region *r, const struct seg *s) {
  u64 sum = 0;
  for (u32 i = 0; i < r->map.n; i++)
    if (r->map.v[i].seg == s)
      sum += r->map.v[i].end - r->map.v[i].off;
  return sum;
}

bool seg_may_settle(const struct region *r, const struct seg *s, u32 *pages) {
  bool zygote = region_is_zygote(r) && s->tracked == r;
  *pages = zygote ? ZYGOTE_PAGES : SETTLED_PAGES;
  return seg_extent_bytes(r, s) <= (zygote ? ZYGOTE_SEGMENT : SETTLED_SEGMENT);
}

#define SEARCH_PART MIB(8) /* searched for private pages at a time */
#define SEARCH_NS 40000    /* longer: page tables have filled up, which fork had to search */

bool seg_is_worth_thawing(const struct region *r, const struct seg *s) {
  u64 pages = 0, start = plat_now();
  u32 few;
  if (!s->frozen || !is_alone(s))
    return false;
  if (s->home || stand_in_wanted(r) || !seg_may_settle(r, s, &few))
    return true;
  for (u32 i = 0; i < r->map.n; i++) {
    const struct extent *e = &r->map.v[i];
    for (u64 at = e->off; e->seg == s && at < e->end; at += SEARCH_PART) {
      u64 to = min_u64(at + SEARCH_PART, e->end);
      if (seg_each_private(r, s, (u32)at, to, NULL, NULL, &pages) || pages > few ||
          plat_now() - start > SEARCH_NS)
        return true;
    }
  }
  return false;
}

static struct seg *largest_alone(const struct region *r) {
  struct seg *best = NULL;
  for (u32 i = 0; i < r->n_segs; i++) {
    struct seg *s = r->segs[i];
    if (seg_is_worth_thawing(r, s) && (!best || seg_extent_bytes(r, s) > seg_extent_bytes(r, best)))
      best = s;
  }
  return best;
}

/* Will u become part of the live segment when thawing gets there? */
static bool is_taken_in(const struct thaw *t, const struct seg *u) {
  u64 top = max_u64(t->s->top, t->s->lo);
  if (u == t->s)
    return true;
  return u && u != t->live && is_alone(u) && !seg_is_shared_object(u) && u->lo <= top + NEAR &&
         u->top + (u64)NEAR >= t->s->lo;
}

/* End of the last extent that is to be thawed, 0 if there is none. */
static u32 last_end(const struct thaw *t) {
  for (u32 i = t->r->map.n; i-- > 0;)
    if (is_taken_in(t, t->r->map.v[i].seg))
      return t->r->map.v[i].end;
  return 0;
}

/* Thawing starts at the low end of the lowest segment that is taken in. */
static u32 first_lo(const struct thaw *t) {
  u32 lo = t->s->lo;
  for (u32 i = 0; i < t->r->n_segs; i++)
    if (t->r->segs[i]->lo < lo && is_taken_in(t, t->r->segs[i]))
      lo = t->r->segs[i]->lo;
  return lo;
}

static int start_live_part(struct thaw *t) {
  struct region *r = t->r;
  u32 lo = first_lo(t);
  int err = seg_make_way(r, NULL, lo); /* the tail of another one may reach here */
  struct seg *live = err ? NULL : kzalloc(sizeof(*live));
  if (!live)
    return -ENOMEM;
  memobj_get(t->s->obj);
  live->obj = t->s->obj;
  live->refs = live->sharers = 1;
  live->owners = (u64)r;
  list_init(&live->thaw_node);
  live->lo = live->top = t->s->lo = lo;
  live->end = live->lo;
  live->cover_hi = UINT32_MAX;
  r->segs[r->n_segs++] = live; /* the table has room for one more */
  t->live = live;
  return 0;
}

/* ---- contents -------------------------------------------------------------------------------- */

struct write_back {
  const struct seg *s;
  u64 base; /* where region offset 0 would be */
};

static int write_run(void *arg, u64 from, u64 to) {
  const struct write_back *w = arg;
  return seg_write(w->s, (const void *)from, to - from, from - w->base);
}

/* Private pages under an inaccessible extent: only its own program could have told that they are
   elsewhere for a moment. */
static int write_back_hidden(struct region *r, const struct seg *s, u32 from, u32 to) {
  u32 slot;
  u64 scratch, len = to - from;
  int err = alias_take(&slot, &scratch);
  if (err)
    return err;
  i64 p =
      lx5(mremap, r->base + from, len, len, LX_MREMAP_MAYMOVE | LX_MREMAP_FIXED, scratch + from);
  if (lx_failed(p)) {
    err = -ENOMEM;
  } else {
    struct write_back w = {s, scratch};
    err = (int)lx3(mprotect, scratch + from, len, REGION_READ);
    if (!err)
      err = pagemap_each_private(scratch + from, scratch + to, write_run, &w, NULL);
    lx3(mprotect, scratch + from, len, LX_PROT_NONE);
    p = lx5(mremap, scratch + from, len, len, LX_MREMAP_MAYMOVE | LX_MREMAP_FIXED, r->base + from);
    if (lx_failed(p))
      plat_panic("cannot move pages back");
  }
  alias_give(slot);
  return err;
}

/* The region's private pages of [from, to), which nobody can write to, go to live's object. */
static int write_back(const struct thaw *t, const struct extent *e, u32 from, u32 to) {
  struct write_back w = {t->live, t->r->base};
  u64 pages = 0;
  if (e->prot)
    return seg_each_private(t->r, e->seg, from, to, write_run, &w, NULL);
  int err = seg_each_private(t->r, e->seg, from, to, NULL, NULL, &pages);
  return err || pages == 0 ? err : write_back_hidden(t->r, t->live, from, to);
}

static int copy_data(void *arg, u64 at, u64 end) {
  const struct write_back *w = arg;
  return write_run(arg, w->base + at, w->base + end);
}

/* What extent e of u has in [from, to) replaces what live's object has there. */
static int take_over(const struct thaw *t, const struct extent *e, u32 from, u32 to) {
  struct memobj *o = t->live->obj;
  i64 p = lx6(mmap, NULL, to - from, LX_PROT_READ, 1 /* MAP_SHARED */, e->seg->obj->fd, from);
  if (lx_failed(p))
    return -ENOMEM;
  struct write_back w = {t->live, (u64)p - from};
  int err = from < o->size ? memobj_punch(o, from, to - from) : 0;
  if (!err && o->size < to)
    err = memobj_resize(o, to);
  if (!err)
    err = memobj_each_data(e->seg->obj, from, to, copy_data, &w);
  lx2(munmap, p, to - from);
  if (!err && e->seg->frozen)
    err = write_back(t, e, from, to);
  return err;
}

/* ---- mappings -------------------------------------------------------------------------------- */

static int move_from_alias(const struct thaw *t, u32 from, u32 to) {
  t->r->remaps++;
  i64 p = lx5(mremap, t->s->alias + from, to - from, to - from, LX_MREMAP_MAYMOVE | LX_MREMAP_FIXED,
              t->r->base + from);
  return lx_failed(p) ? -ENOMEM : 0;
}

/* Moves [from, to), which had protection `have` when it was frozen. */
static int land(const struct thaw *t, u32 from, u32 to, int have, int want) {
  struct region alias = {.base = t->s->alias}; /* to change protections out of reach */
  int err = seg_protect(&alias, t->live, from, to, have, want);
  if (!err)
    err = move_from_alias(t, from, to);
  return err ? seg_map_prot(t->r, t->live, from, to, want) : 0;
}

/* Extent of s when it was frozen at `at`, or NULL; *until: where that changes. */
static const struct extent *shape_at(const struct seg *s, u32 at, u32 *until) {
  u32 k = extents_find(&s->shape, at);
  const struct extent *h = k < s->shape.n ? &s->shape.v[k] : NULL;
  u32 border = !h ? *until : at < h->off ? h->off : h->end;
  *until = border < *until ? border : *until;
  return h && at >= h->off ? h : NULL;
}

/* Was `at` part of a host mapping when s was frozen? */
static bool was_mapped(const struct seg *s, u32 at, u32 *until) {
  for (u32 i = 0; i < s->n_pieces; i++) {
    const struct piece *p = &s->pieces[i];
    if (at >= p->to)
      continue;
    u64 border = at < p->from ? p->from : p->to;
    *until = (u32)min_u64(border, *until);
    return at >= p->from;
  }
  return false;
}

/* Maps extent [from, to) of s with protection prot. *done: how far that has come, even if it fails.
 */
static int land_extent(const struct thaw *t, u32 from, u32 to, int prot, u32 *done) {
  int err = 0;
  for (*done = from; *done < to && !err;) {
    u32 until = to;
    const struct extent *h = shape_at(t->s, *done, &until);
    err =
        h ? land(t, *done, until, h->prot, prot) : seg_map_prot(t->r, t->live, *done, until, prot);
    if (!err)
      *done = until;
  }
  return err;
}

/* Maps and covers [from, to), where there is no extent. What was covered when s was frozen moves.
 */
static int land_gap(const struct thaw *t, u32 from, u32 to) {
  int err = memobj_punch(t->live->obj, from, to - from);
  while (from < to && !err) {
    u32 until = to;
    bool covered = !shape_at(t->s, from, &until);
    covered = covered && was_mapped(t->s, from, &until) && from < t->s->top;
    if (covered && until > t->s->top)
      until = t->s->top;
    err = covered ? land(t, from, until, 0, 0) : seg_map_prot(t->r, t->live, from, until, 0);
    from = until;
  }
  return err;
}

/* ---- a part ---------------------------------------------------------------------------------- */

/* All below `at` is live's now; segments that are being taken in begin there. */
static void came_to(const struct thaw *t, u32 at) {
  t->live->top = t->s->lo = at;
  t->live->end = at;
  for (u32 i = 0; i < t->r->n_segs; i++) {
    struct seg *u = t->r->segs[i];
    if (!u->frozen && u != t->live && u->lo >= t->live->lo && u->lo < at)
      u->lo = at;
  }
}

/* [from, to) of segment u has become live's. */
static void enter(const struct thaw *t, struct seg *u, u32 from, u32 to) {
  struct extents *x = &t->r->map;
  u32 first, last;
  extents_split(x, from, to, &first, &last);
  for (u32 i = first; i < last; i++)
    x->v[i].seg = t->live;
  extents_merge(x, from, to);
  came_to(t, to);
  if (u == t->s || u->frozen)
    return;
  memobj_punch(u->obj, from, to - from); /* its memory is given back at the end if not now */
}

/* Thaws [from, to) of extent e. */
static int thaw_extent(const struct thaw *t, const struct extent *e, u32 from, u32 to,
                       bool running) {
  bool own = e->seg == t->s, lock = running && e->prot == RW;
  u32 done = from;
  int err = lock ? host_protect(t->r, from, to, REGION_READ) : 0;
  t->r->steps++;
  if (!err)
    err = own ? write_back(t, e, from, to) : take_over(t, e, from, to);
  if (!err && own) {
    err = land_extent(t, from, to, e->prot, &done);
  } else if (!err) {
    err = seg_map_prot(t->r, t->live, from, to, e->prot);
    done = err ? from : to;
  }
  if (lock && done < to)
    host_protect(t->r, done, to, RW);
  if (done > from)
    enter(t, e->seg, from, done);
  return err && done == from ? -ENOMEM : 0;
}

static int thaw_gap(const struct thaw *t, u32 from, u32 to) {
  int err = land_gap(t, from, to);
  if (!err)
    came_to(t, to);
  return err ? -ENOMEM : 0;
}

/* Something else is mapped at [from, to), over the live segment's span. */
static int pass_foreign(const struct thaw *t, u32 from, u32 to) {
  int err = memobj_punch(t->live->obj, from, to - from);
  if (!err)
    came_to(t, to);
  return err ? -ENOMEM : 0;
}

static u32 part_end(u32 at, u32 end, u64 part) {
  return (u32)min_u64(end, round_down(at + part, part));
}

/* One extent's part, or a hole, at where thawing has come to; the last one to be thawed ends at
   `last`. */
static int thaw_here(const struct thaw *t, u64 part, u32 last, bool running) {
  u32 at = t->s->lo, i = extents_find(&t->r->map, at);
  const struct extent e = t->r->map.v[i];
  if (e.off > at)
    return thaw_gap(t, at, part_end(at, e.off, GAP_STEP));
  u32 end = e.end < last ? e.end : last;
  if (e.kind == EXTENT_EMPTY)
    return thaw_gap(t, at, part_end(at, end, GAP_STEP));
  if (e.kind != EXTENT_LAZY || !is_taken_in(t, e.seg))
    return pass_foreign(t, at, end);
  return thaw_extent(t, &e, at, running ? part_end(at, end, part) : end, running);
}

/* ---- the end --------------------------------------------------------------------------------- */

/* s, which warm regions know, takes the place of its live part. */
void seg_thaw_done(struct region *r, struct seg *s, struct seg *live) {
  seg_free_alias(s, r);
  for (u32 i = 0; i < r->map.n; i++)
    if (r->map.v[i].seg == live)
      r->map.v[i].seg = s;
  memobj_resize(s->obj, live->top); /* what is beyond has been unmapped */
  __atomic_store_n(&s->frozen, false, __ATOMIC_RELAXED);
  s->private_pages = 0;
  s->tracked = NULL;
  s->refresh_ns = 0;
  s->lo = live->lo;
  s->top = live->top;
  s->end = live->end;
  s->cover_hi = UINT32_MAX;
  seg_close_gaps(r, s, live->end < s->whole_hi ? (u32)live->end : s->whole_hi);
  seg_forget(r, live);
  seg_free(live);
}

/* The host mapping reaches to the next GiB again. */
static void pad(struct region *r, struct seg *s) {
  u64 end = seg_padded_end(r, s, s->top);
  if (end > s->end && seg_map_span(r, s, s->end, end) == 0)
    s->end = end;
}

/* With the last one that is live, what moves r is made; else what helps to freeze s. */
void seg_prepare_fork(struct region *r, struct seg *s) {
  seg_absorb(r, s, true);
  bool moves = stand_in_wanted(r);
  if (moves && largest_alone(r))
    return;
  if (moves)
    seg_absorb_all(r);
  if (moves && stand_in_make(r)) {
    region_prepare_child(r);
  } else {
    seg_spare_drop(s);
    seg_spare_make(r, s);
  }
}

/* ---- interface ------------------------------------------------------------------------------- */

static int step(struct region *r, struct seg *s, u64 part, bool running) {
  struct thaw t = {r, s, seg_live_part(r, s)};
  int err = extents_reserve(&r->map, 4);
  if (!err && !t.live)
    err = start_live_part(&t);
  if (err)
    return err;
  u32 last = last_end(&t);
  if (s->lo < last)
    err = thaw_here(&t, part, last, running);
  if (err || s->lo < last)
    return err ? err : 1;
  seg_thaw_done(r, s, t.live);
  seg_drop_unused(r);
  if (seg_is_used(r, s)) {
    pad(r, s);
    if (running) /* else fork follows */
      seg_prepare_fork(r, s);
  }
  return 0;
}

int seg_thaw_step(struct region *r, u64 part) {
  region_complete(r);
  struct seg *s = begun(r);
  if (!s)
    s = largest_alone(r);
  if (!s)
    return 0;
  int err = step(r, s, part, true);
  return err ? err : begun(r) || largest_alone(r);
}

int seg_thaw(struct region *r, struct seg *s) {
  int left;
  if (!s->frozen || !is_alone(s))
    return -EBUSY;
  do
    left = step(r, s, THAW_PART, false);
  while (left > 0);
  return left;
}

int seg_thaw_finish(struct region *r) {
  struct seg *s = begun(r);
  return s ? seg_thaw(r, s) : 0;
}
