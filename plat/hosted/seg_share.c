/* SPDX-License-Identifier: MIT */
/*
 * How a region gets a frozen segment: private host mappings of the object, and copies of the
 * pages that the parent has written since the freeze.
 */
#include "kernel/errno.h"
#include "lib/string.h"
#include "plat/hosted/linux.h"
#include "plat/hosted/pagemap.h"
#include "plat/hosted/seg.h"
#include "plat/hosted/written.h"

#define RW (REGION_READ | REGION_WRITE)

/* ---- mappings -------------------------------------------------------------------------------- */

int seg_map_private(struct region *r, const struct extent *e, int prot) {
  r->remaps++;
  i64 p = lx6(mmap, region_ptr(r, e->off), e->end - e->off, prot,
              LX_MAP_PRIVATE | LX_MAP_FIXED | LX_MAP_NORESERVE, e->seg->obj->fd, e->off);
  return lx_failed(p) ? -ENOMEM : 0;
}

int seg_map_frozen(struct region *r, struct seg *s) {
  bool track = seg_extent_bytes(r, s) <= (region_is_zygote(r) ? ZYGOTE_SEGMENT : SETTLED_SEGMENT);
  int err = 0;
  for (u32 i = 0; i < r->map.n && !err; i++) {
    const struct extent *e = &r->map.v[i];
    if (e->seg != s)
      continue;
    err = seg_map_private(r, e, e->prot);
    track = track && !err && written_track(r->base + e->off, r->base + e->end);
  }
  s->tracked = track ? r : NULL;
  r->watched = false;
  return err;
}

/* ---- contents -------------------------------------------------------------------------------- */

#define POPULATE_MIN (4 * PAGE_SIZE) /* shorter runs are cheaper to fault in */

/* Pages go from one place to the child. Those that its region has privately, left by its previous
   inhabitant, are all overwritten: they are likely to be written again. */
struct copy {
  u64 from;   /* where region offset 0 would be */
  u64 frozen; /* the same for pages that the parent has not written */
  u64 to;
  u32 *warm; /* in order: those not reached yet */
  u32 n_warm;
  bool ready; /* they have the frozen contents already */
  u32 pages;  /* of the parent's */
};

static void copy_page(const struct copy *c, u64 from, u32 off) {
  memcpy((void *)(c->to + off), (const void *)(from + off), PAGE_SIZE);
}

static void restore_until(struct copy *c, u64 off) {
  for (; c->n_warm && *c->warm < off; c->warm++, c->n_warm--) {
    if (c->ready && !(*c->warm & WARM_COPIED))
      continue;
    *c->warm &= ~WARM_COPIED;
    copy_page(c, c->frozen, *c->warm);
  }
}

static int copy_run(void *arg, u64 at, u64 end) {
  struct copy *c = arg;
  u64 off = at - c->from;
  end -= c->from;
  c->pages += (u32)((end - off) / PAGE_SIZE);
  restore_until(c, off);
  while (off < end) {
    if (c->n_warm && (*c->warm & ~WARM_COPIED) == off) {
      copy_page(c, c->from, (u32)off);
      *c->warm |= WARM_COPIED;
      c->warm++;
      c->n_warm--;
      off += PAGE_SIZE;
      continue;
    }
    u64 until = c->n_warm ? min_u64(end, *c->warm & ~WARM_COPIED) : end;
    if (until - off >= POPULATE_MIN)
      lx3(madvise, c->to + off, until - off, LX_MADV_POPULATE_WRITE);
    memcpy((void *)(c->to + off), (const void *)(c->from + off), until - off);
    off = until;
  }
  return 0;
}

/* The child's private pages in [off, end). */
static void find_warm(struct copy *c, const struct region *child, u32 off, u32 end) {
  u32 i = 0, k;
  while (i < child->n_warm && child->warm_pages[i] < off)
    i++;
  for (k = i; k < child->n_warm && child->warm_pages[k] < end;)
    k++;
  c->warm = child->warm_pages + i;
  c->n_warm = k - i;
}

/* At the alias, if they could be read before. */
u64 seg_frozen_base(const struct extent *e) {
  const struct seg *s = e->seg;
  const struct extent *h = extents_at(&s->shape, e->off);
  return h && h->end >= e->end && h->prot == RW ? s->alias : 0;
}

/* Extents that are not both readable and writable have no warm pages. */
static int copy_hidden(struct region *parent, struct region *child, const struct extent *e,
                       struct copy *c) {
  u64 pages = 0;
  int err = seg_each_private(parent, e->seg, e->off, e->end, NULL, NULL, &pages);
  if (err || pages == 0)
    return err;
  if (!(e->prot & REGION_READ))
    err = host_protect(parent, e->off, e->end, REGION_READ);
  if (!err)
    err = host_protect(child, e->off, e->end, RW);
  if (!err)
    err = seg_each_private(parent, e->seg, e->off, e->end, copy_run, c, NULL);
  if (!err)
    err = host_protect(child, e->off, e->end, e->prot);
  if (!(e->prot & REGION_READ))
    host_protect(parent, e->off, e->end, e->prot);
  return err;
}

static void begin_extent(struct copy *c, const struct region *child, const struct extent *e) {
  u64 frozen = seg_frozen_base(e);
  c->frozen = frozen ? frozen : c->from;
  c->ready = child->ready >= e->seg->changed;
  c->n_warm = 0;
  if (e->prot == RW)
    find_warm(c, child, e->off, e->end);
}

/* debt: the parent may have private pages. */
static int copy_extent(struct region *parent, struct region *child, const struct extent *e,
                       bool debt, struct copy *c) {
  int err = 0;
  begin_extent(c, child, e);
  if (debt && e->prot != RW)
    err = copy_hidden(parent, child, e, c);
  else if (debt)
    err = seg_each_private(parent, e->seg, e->off, e->end, copy_run, c, NULL);
  if (!err)
    restore_until(c, e->end);
  return err;
}

/* The extents of s that are readable and writable, of a parent whose writes the host has noted. */
struct copy_all {
  const struct region *parent, *child;
  struct seg *s;
  u32 i; /* the extent that has been begun, or the first one to be looked at */
  bool begun;
  struct copy *c;
};

/* Goes on to the extent that holds off. */
static void come_to(struct copy_all *a, u32 off) {
  for (const struct extents *x = &a->parent->map; a->i < x->n; a->i++, a->begun = false) {
    const struct extent *e = &x->v[a->i];
    bool mine = e->seg == a->s && e->prot == RW;
    if (mine && !a->begun)
      begin_extent(a->c, a->child, e);
    a->begun = mine;
    if (off < e->end)
      return;
    if (mine)
      restore_until(a->c, e->end);
  }
}

static int copy_written(void *arg, u64 at, u64 end) {
  struct copy_all *a = arg;
  come_to(a, (u32)(at - a->parent->base));
  return copy_run(a->c, at, end);
}

static int copy_all_written(const struct region *parent, const struct region *child, struct seg *s,
                            struct copy *c) {
  struct copy_all a = {.parent = parent, .child = child, .s = s, .c = c};
  int err = seg_each_written(parent, s, copy_written, &a);
  if (!err)
    come_to(&a, UINT32_MAX);
  return err;
}

/* ---- a child --------------------------------------------------------------------------------- */

static bool has_seg(const struct region *r, const struct seg *s) {
  for (u32 i = 0; i < r->n_segs; i++)
    if (r->segs[i] == s)
      return true;
  return false;
}

/* The child maps extent e, unless its warm region does so already. */
static int map_in_child(struct region *child, const struct extent *e) {
  if (extents_at(&child->map, e->off))
    return 0;
  int err = seg_map_private(child, e, e->prot);
  child->watched = false;
  child->lives = 0;
  if (!err)
    extents_add_inherited(&child->map, e);
  return err;
}

/* The contents of frozen s alone. */
static int copy_frozen(struct region *parent, struct region *child, struct seg *s, bool debt) {
  struct copy c = {.from = parent->base, .to = child->base};
  bool noted = debt && (s->tracked == parent || parent->watched);
  int err = 0;
  for (u32 i = 0; i < parent->map.n && !err; i++) {
    const struct extent *e = &parent->map.v[i];
    if (e->seg != s)
      continue;
    err = map_in_child(child, e);
    if (!err && !(noted && e->prot == RW))
      err = copy_extent(parent, child, e, debt, &c);
  }
  if (!err && noted)
    err = copy_all_written(parent, child, s, &c);
  if (debt)
    s->private_pages = c.pages;
  return err ? -ENOMEM : 0;
}

/* Enters s in r's table, with a reference, unless it is there. */
static int get_to_know(struct region *r, struct seg *s) {
  if (has_seg(r, s))
    return 0;
  int err = seg_enter(r, s);
  if (!err)
    seg_get(s);
  return err;
}

int segs_map_ahead(struct region *child, const struct region *parent) {
  int err = 0;
  for (u32 i = 0; i < parent->n_segs && !err; i++)
    err = get_to_know(child, parent->segs[i]);
  for (u32 i = 0; i < parent->map.n && !err; i++)
    if (parent->map.v[i].seg)
      err = map_in_child(child, &parent->map.v[i]);
  return err;
}

int seg_share_frozen(struct region *parent, struct region *child, struct seg *s, bool debt) {
  int err = get_to_know(child, s);
  if (err)
    return err;
  seg_share(s, child);
  return copy_frozen(parent, child, s, debt);
}
