/* SPDX-License-Identifier: MIT */
/*
 * fork, the lazy tier. A live segment is frozen: its populated host mapping moves to an alias in
 * O(1), and parent and child map the object private. A segment that is frozen already is mapped by
 * the child as well, and what the parent has written since is copied.
 */
#include "kernel/errno.h"
#include "kernel/mm/kmalloc.h"
#include "lib/string.h"
#include "plat/hosted/linux.h"
#include "plat/hosted/pagemap.h"
#include "plat/hosted/seg.h"

#define RW (REGION_READ | REGION_WRITE)
#define POPULATE_MIN (4 * PAGE_SIZE) /* shorter runs are cheaper to fault in */

static int map_private(struct region *r, const struct extent *e, int prot) {
  i64 p = lx6(mmap, region_ptr(r, e->off), e->end - e->off, prot,
              LX_MAP_PRIVATE | LX_MAP_FIXED | LX_MAP_NORESERVE, e->seg->obj->fd, e->off);
  return lx_failed(p) ? -ENOMEM : 0;
}

/* ---- freezing ----------------------------------------------------------------------------------
 */

struct move {
  struct region *r;
  struct seg *s;
  u64 from_base, to_base;
  u64 stop; /* undoing: pieces from here on were not moved */
};

static int count_piece(void *arg, u64 from, u64 to, int prot) {
  (void)from, (void)to, (void)prot;
  ++*(u32 *)arg;
  return 0;
}

static int record_piece(void *arg, u64 from, u64 to, int prot) {
  struct seg *s = arg;
  s->pieces[s->n_pieces++] = (struct piece){from, to, prot};
  return 0;
}

/* Notes what the host maps for s: pieces, and which parts of them are accessible. */
static int record_shape(struct region *r, struct seg *s) {
  u32 n = 0;
  seg_each_piece(r, s, count_piece, &n);
  s->pieces = kmalloc(n * sizeof(*s->pieces));
  s->n_pieces = 0;
  if (!s->pieces || extents_reserve(&s->shape, r->map.n))
    return -ENOMEM;
  seg_each_piece(r, s, record_piece, s);
  for (u32 i = 0; i < r->map.n; i++)
    if (r->map.v[i].seg == s)
      s->shape.v[s->shape.n++] = r->map.v[i];
  return 0;
}

static void forget_shape(struct seg *s) {
  kfree(s->pieces);
  s->pieces = NULL;
  s->n_pieces = 0;
  extents_free(&s->shape);
}

static int move_pieces(const struct seg *s, u32 n, u64 from_base, u64 to_base, u32 *moved) {
  for (u32 i = 0; i < n; i++) {
    u64 len = s->pieces[i].to - s->pieces[i].from;
    i64 p = lx5(mremap, from_base + s->pieces[i].from, len, len,
                LX_MREMAP_MAYMOVE | LX_MREMAP_FIXED, to_base + s->pieces[i].from);
    *moved = i;
    if (lx_failed(p))
      return -ENOMEM;
  }
  *moved = n;
  return 0;
}

static int map_all_private(struct region *r, struct seg *s) {
  int err = 0;
  for (u32 i = 0; i < r->map.n && !err; i++)
    if (r->map.v[i].seg == s)
      err = map_private(r, &r->map.v[i], r->map.v[i].prot);
  return err;
}

static int freeze(struct region *r, struct seg *s) {
  u32 moved = 0, back;
  int err = alias_take(&s->alias_slot, &s->alias);
  if (err)
    return err;
  err = record_shape(r, s);
  if (!err)
    err = move_pieces(s, s->n_pieces, r->base, s->alias, &moved);
  if (!err)
    err = map_all_private(r, s);
  if (!err) {
    s->frozen = true;
    return 0;
  }
  if (moved && move_pieces(s, moved, s->alias, r->base, &back))
    plat_panic("cannot undo the freeze of a segment");
  forget_shape(s);
  alias_give(s->alias_slot);
  return err;
}

/* ---- sharing -----------------------------------------------------------------------------------
 */

/* Enters s in the child's table and books. */
static int share(struct region *parent, struct region *child, struct seg *s) {
  int err = seg_enter(child, s);
  if (err)
    return err;
  __atomic_add_fetch(&s->sharers, 1, __ATOMIC_SEQ_CST);
  for (u32 i = 0; i < parent->map.n && !err; i++) {
    const struct extent *e = &parent->map.v[i];
    if (e->seg != s)
      continue;
    err = map_private(child, e, e->prot);
    if (!err)
      extents_add(&child->map, e);
  }
  return err;
}

struct copy_run {
  u64 from_base, to_base;
};

static int copy_run(void *arg, u64 from, u64 to) {
  const struct copy_run *c = arg;
  u8 *dst = (u8 *)(from - c->from_base + c->to_base);
  if (to - from >= POPULATE_MIN)
    lx3(madvise, dst, to - from, LX_MADV_POPULATE_WRITE);
  memcpy(dst, (const void *)from, to - from);
  return 0;
}

/* Copies what the parent has written of a frozen extent. */
static int copy_debt(struct region *parent, struct region *child, const struct extent *e) {
  struct copy_run c = {parent->base, child->base};
  u64 pages = 0;
  int err = pagemap_each_private(parent->base + e->off, parent->base + e->end, NULL, NULL, &pages);
  if (err || pages == 0)
    return err;
  if (!(e->prot & REGION_READ))
    err = host_protect(parent, e->off, e->end, REGION_READ);
  if (!err && e->prot != RW)
    err = host_protect(child, e->off, e->end, RW);
  if (!err)
    err = pagemap_each_private(parent->base + e->off, parent->base + e->end, copy_run, &c, NULL);
  if (!err && e->prot != RW)
    err = host_protect(child, e->off, e->end, e->prot);
  if (!(e->prot & REGION_READ))
    host_protect(parent, e->off, e->end, e->prot);
  return err ? -ENOMEM : 0;
}

static int share_frozen(struct region *parent, struct region *child, struct seg *s) {
  int err = share(parent, child, s);
  for (u32 i = 0; i < parent->map.n && !err; i++)
    if (parent->map.v[i].seg == s)
      err = copy_debt(parent, child, &parent->map.v[i]);
  return err;
}

int segs_fork(struct region *parent, struct region *child) {
  int err = 0;
  seg_drop_unused(parent);
  for (u32 i = 0; i < parent->n_segs && !err; i++) {
    struct seg *s = parent->segs[i];
    if (s->frozen && __atomic_load_n(&s->sharers, __ATOMIC_SEQ_CST) == 1)
      err = seg_thaw(parent, s);
  }
  for (u32 i = 0; i < parent->n_segs && !err; i++) {
    struct seg *s = parent->segs[i];
    if (s->frozen) {
      err = share_frozen(parent, child, s);
    } else {
      err = freeze(parent, s);
      if (!err)
        err = share(parent, child, s);
    }
  }
  return err;
}

/* ---- leaving ------------------------------------------------------------------------------------
 */

static void unmap_alias(struct seg *s) {
  for (u32 i = 0; i < s->n_pieces; i++)
    lx2(munmap, s->alias + s->pieces[i].from, s->pieces[i].to - s->pieces[i].from);
  alias_give(s->alias_slot);
}

void seg_leave(struct region *r, struct seg *s) {
  seg_forget(r, s);
  if (__atomic_sub_fetch(&s->sharers, 1, __ATOMIC_SEQ_CST) != 0)
    return;
  if (s->frozen) {
    unmap_alias(s);
    forget_shape(s);
  }
  seg_free(s);
}
