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
#include "plat/hosted/written.h"

#define RW (REGION_READ | REGION_WRITE)

/* ---- freezing -------------------------------------------------------------------------------- */

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

/* Room for n of them. */
static int reserve_pieces(struct seg *s, u32 n) {
  if (n <= s->max_pieces)
    return 0;
  struct piece *v = kmalloc(n * sizeof(*v));
  if (!v)
    return -ENOMEM;
  kfree(s->pieces);
  s->pieces = v;
  s->max_pieces = n;
  return 0;
}

/* Notes what the host maps for s: pieces, and which parts of them are accessible. */
static int record_shape(struct region *r, struct seg *s) {
  u32 n = 0;
  seg_each_piece(r, s, count_piece, &n);
  if (reserve_pieces(s, n) || extents_reserve(&s->shape, r->map.n))
    return -ENOMEM;
  seg_each_piece(r, s, record_piece, s);
  for (u32 i = 0; i < r->map.n; i++)
    if (r->map.v[i].seg == s)
      s->shape.v[s->shape.n++] = r->map.v[i];
  return 0;
}

/* The next one will need as much room. */
static void forget_shape(struct seg *s) { s->n_pieces = s->shape.n = 0; }

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

static void is_frozen_now(const struct region *r, struct seg *s) {
  s->frozen_at = r->forked_at;
  __atomic_store_n(&s->frozen, true, __ATOMIC_RELAXED);
  s->enough = s->forks = 0;
  seg_has_changed(s);
}

/* All segments are live. Their mappings stay where they are, and r goes to its stand-in. The
   reference is the caller's. */
static int freeze_in_place(struct region *r, struct stand_in **left) {
  int err = stand_in_fill(r);
  for (u32 i = 0; i < r->n_segs && !err; i++)
    err = record_shape(r, r->segs[i]);
  if (err) {
    for (u32 i = 0; i < r->n_segs; i++)
      forget_shape(r->segs[i]);
    stand_in_drop(r);
    return err;
  }
  *left = stand_in_use(r);
  for (u32 i = 0; i < r->n_segs; i++)
    is_frozen_now(r, r->segs[i]);
  return 0;
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
    err = seg_spare_use(r, s);
  if (!err)
    err = seg_map_frozen(r, s);
  if (err >= 0) {
    is_frozen_now(r, s);
    return 0;
  }
  seg_spare_drop(s);
  if (moved && move_pieces(s, moved, s->alias, r->base, &back))
    plat_panic("cannot undo the freeze of a segment");
  forget_shape(s);
  alias_give(s->alias_slot);
  return err;
}

static u64 changes; /* atomic */

u64 seg_changes(void) { return __atomic_load_n(&changes, __ATOMIC_SEQ_CST); }

void seg_has_changed(struct seg *s) {
  s->changed = __atomic_add_fetch(&changes, 1, __ATOMIC_SEQ_CST);
}

/* ---- refreshing ------------------------------------------------------------------------------ */

/* More private pages than this, or a longer search for them: the mapping moves back instead. */
#define REFRESH_PAGES_MAX 1024
#define REFRESH_NS_MAX 60000
/* More than this: those that have not changed since the last refresh are given up. */
#define REFRESH_PAGES_KEPT 128

struct refresh {
  const struct region *r;
  const struct seg *s;
  bool drop; /* unchanged pages */
  u32 pages;
};

static bool pages_equal(const u64 *a, const u64 *b) {
  for (unsigned i = 0; i < PAGE_SIZE / 8; i += 4)
    if ((a[i] ^ b[i]) | (a[i + 1] ^ b[i + 1]) | (a[i + 2] ^ b[i + 2]) | (a[i + 3] ^ b[i + 3]))
      return false;
  return true;
}

static void drop_or_copy(const struct refresh *f, u64 at, u64 end) {
  for (; at < end; at += PAGE_SIZE) {
    u8 *object = (u8 *)(at - f->r->base + f->s->alias);
    if (pages_equal((const u64 *)at, (const u64 *)object))
      lx3(madvise, at, PAGE_SIZE, LX_MADV_DONTNEED);
    else
      memcpy(object, (const void *)at, PAGE_SIZE);
  }
}

/* Through the alias where that was writable when it was made, else through the file. */
static int refresh_run(void *arg, u64 at, u64 end) {
  struct refresh *f = arg;
  u64 off = at - f->r->base;
  const struct extent *e = extents_at(&f->s->shape, (u32)off);
  f->pages += (u32)((end - at) / PAGE_SIZE);
  if (f->pages > REFRESH_PAGES_MAX)
    return -E2BIG;
  if (!e || e->prot != RW || off + (end - at) > e->end) {
    i64 n = LX_RETRY(lx4(pwrite64, f->s->obj->fd, at, end - at, off));
    return n == (i64)(end - at) ? 0 : -ENOMEM;
  }
  if (f->drop)
    drop_or_copy(f, at, end);
  else
    memcpy((void *)(f->s->alias + off), (const void *)at, end - at);
  return 0;
}

/*
 * The only sharer's private pages go to the object, which nobody else looks at. It keeps them: what
 * it has written once it will write again, now without a fault. Too many, or unreadable ones: thaw.
 */
static int refresh_or_thaw(struct region *r, struct seg *s) {
  struct refresh f = {r, s, s->private_pages > REFRESH_PAGES_KEPT, 0};
  bool slow = s->refresh_ns > REFRESH_NS_MAX; /* page tables have filled up */
  int err = slow || r->n_segs > REGION_SEGS_MAX / 2 ? -E2BIG : 0;
  u64 start = plat_now();
  for (u32 i = 0; i < r->map.n && !err; i++) {
    const struct extent *e = &r->map.v[i];
    if (e->seg != s)
      continue;
    err = e->prot & REGION_READ ? seg_each_private(r, s, e->off, e->end, refresh_run, &f, NULL)
                                : -E2BIG;
  }
  if (f.pages)
    seg_has_changed(s);
  s->private_pages = f.drop ? 0 : f.pages;
  s->refresh_ns = plat_now() - start;
  return err == -E2BIG ? seg_thaw(r, s) : err;
}

/* A zygote copies with each fork what it has written since the freeze, much of it once only. When
   these pages are twice those of few forks, they go to the object and are forgotten. */
#define ENOUGH_FORKS 8
#define ENOUGH_MIN 64

static int write_back_run(void *arg, u64 at, u64 end) {
  struct refresh *f = arg;
  u64 off = at - f->r->base;
  const struct extent *e = extents_at(&f->s->shape, (u32)off);
  if (!e || e->prot != RW || off + (end - at) > e->end)
    return -E2BIG;
  memcpy((void *)(f->s->alias + off), (const void *)at, end - at);
  f->pages += (u32)((end - at) / PAGE_SIZE);
  return (int)LX_RETRY(lx3(madvise, at, end - at, LX_MADV_DONTNEED));
}

/* What is protected now may have been written before. */
static bool is_all_writable(const struct region *r, const struct seg *s) {
  for (u32 i = 0; i < r->map.n; i++)
    if (r->map.v[i].seg == s && r->map.v[i].prot != RW)
      return false;
  return true;
}

static bool note_anew(const struct region *r, const struct seg *s) {
  bool noted = true;
  for (u32 i = 0; i < r->map.n && noted; i++)
    if (r->map.v[i].seg == s)
      noted = written_track(r->base + r->map.v[i].off, r->base + r->map.v[i].end);
  return noted;
}

/* Does the object of s, the zygote's alone, have all that r sees now? */
static bool forget_written(struct region *r, struct seg *s) {
  struct refresh f = {.r = r, .s = s};
  if (s->enough == 0 && ++s->forks == ENOUGH_FORKS)
    s->enough = (u32)max_u64(2 * s->private_pages, ENOUGH_MIN);
  if (s->enough == 0 || s->private_pages <= s->enough || !is_all_writable(r, s))
    return false;
  s->enough = s->forks = 0;
  int err = seg_each_written(r, s, write_back_run, &f);
  r->remaps++;
  if (f.pages)
    seg_has_changed(s);
  return err == 0 && note_anew(r, s);
}

/* ---- fork ------------------------------------------------------------------------------------ */

static bool is_alone(const struct seg *s) {
  return __atomic_load_n(&s->sharers, __ATOMIC_SEQ_CST) == 1;
}

/* Shares s, which is frozen, in this fork if `fresh`. */
static int share(struct region *parent, struct region *child, struct seg *s, bool fresh) {
  if (fresh && s->absorbed && !region_is_zygote(parent)) {
    child->begins = true;
    seg_set_writer(s, parent);
  }
  return seg_share_frozen(parent, child, s, !fresh && !s->refreshed);
}

/* Freezes and shares s. If that fails after the freeze, and the child has s in its table, the child
   counts as a sharer. */
static int fork_seg(struct region *parent, struct region *child, struct seg *s) {
  bool fresh = !s->frozen;
  int err = fresh ? freeze(parent, s) : 0;
  return err ? err : share(parent, child, s, fresh);
}

/* Of a small segment fork copies the pages that the parent has ever written since the first one, as
   long as they are few: they are hot, and stay private and writable. */
static bool is_settled(struct region *r, struct seg *s) {
  u32 pages;
  if (!seg_may_settle(r, s, &pages))
    return false;
  if (s->private_pages > pages)
    r->row = 0; /* it does much between two forks */
  return s->private_pages <= pages;
}

/* A new zygote's segments are thawed once, which fork then freezes as a zygote's: with what small
   mappings it had made between them, and with its writes noted. */
static int arrange(struct region *r) {
  int err = 0;
  for (u32 i = 0; i < r->n_segs; i++)
    if (r->segs[i]->frozen && !is_alone(r->segs[i]))
      return 0; /* another time */
  for (u32 i = 0; i < r->n_segs && !err; i++)
    if (r->segs[i]->frozen && seg_extent_bytes(r, r->segs[i]) <= ZYGOTE_SEGMENT) {
      err = seg_thaw(r, r->segs[i]);
      i = (u32)-1; /* the table has changed */
    }
  r->arranged = err == 0;
  return err;
}

int segs_prepare(struct region *parent) {
  int err = 0;
  seg_drop_unused(parent);
  err = seg_thaw_finish(parent);
  parent->arranged = parent->arranged && region_is_zygote(parent);
  if (!err && region_is_zygote(parent) && !parent->arranged)
    err = arrange(parent);
  for (u32 i = 0; i < parent->n_segs && !err; i++)
    seg_absorb(parent, parent->segs[i], false); /* this fork is slower if that fails */
  for (u32 i = 0; i < parent->n_segs && !err; i++) {
    struct seg *s = parent->segs[i];
    u32 n = parent->n_segs;
    s->refreshed = s->frozen && is_alone(s) && !is_settled(parent, s);
    if (s->refreshed)
      err = refresh_or_thaw(parent, s);
    else if (s->frozen && is_alone(s) && s->tracked == parent && region_is_zygote(parent))
      s->refreshed = forget_written(parent, s);
    if (parent->n_segs != n)
      i = (u32)-1; /* a thaw took neighbours in: the table has changed */
  }
  return err;
}

static int fork_in_place(struct region *parent, struct region *child, u32 *shared,
                         struct stand_in **left) {
  int err = freeze_in_place(parent, left);
  for (; *shared < parent->n_segs && !err; ++*shared)
    err = share(parent, child, parent->segs[*shared], true);
  if (err && *left) {
    stand_in_put(*left, NULL);
    *left = NULL;
  }
  return err;
}

int segs_fork(struct region *parent, struct region *child, struct stand_in **moved) {
  u32 shared = 0;
  int err = moved ? fork_in_place(parent, child, &shared, moved) : 0;
  for (; shared < parent->n_segs && !err; shared += parent->segs[shared]->frozen)
    err = fork_seg(parent, child, parent->segs[shared]);
  if (err)
    segs_drop_warm(parent, shared, child);
  child->warm = false;
  return err;
}

/* ---- leaving --------------------------------------------------------------------------------- */

void seg_free_alias(struct seg *s, struct region *owner) {
  struct stand_in *home = s->home;
  for (u32 i = 0; i < s->n_pieces; i++)
    lx2(munmap, s->alias + s->pieces[i].from, s->pieces[i].to - s->pieces[i].from);
  s->home = NULL;
  if (home)
    stand_in_put(home, owner);
  else
    alias_give(s->alias_slot);
  forget_shape(s);
}

static void seg_destroy(struct seg *s) {
  if (s->frozen)
    seg_free_alias(s, NULL);
  seg_free(s);
}

void seg_get(struct seg *s) { __atomic_add_fetch(&s->refs, 1, __ATOMIC_SEQ_CST); }

void seg_put(struct seg *s) {
  if (__atomic_sub_fetch(&s->refs, 1, __ATOMIC_SEQ_CST) == 0)
    seg_destroy(s);
}

void seg_leave(struct region *r, struct seg *s) {
  seg_close_gaps(r, s, 0);
  seg_forget(r, s);
  if (!r->warm)
    seg_unshare(s, r);
  seg_put(s);
}

static bool is_among(const struct seg *s, struct seg *const *segs, u32 n) {
  for (u32 i = 0; i < n; i++)
    if (segs[i] == s)
      return true;
  return false;
}

void segs_drop_warm(const struct region *parent, u32 shared, struct region *child) {
  child->warm = true;
  for (u32 i = 0; i < child->n_segs;) {
    struct seg *s = child->segs[i];
    if (is_among(s, parent->segs, shared)) {
      i++;
      continue;
    }
    for (u32 k = 0; k < child->map.n;) {
      struct extent e = child->map.v[k];
      if (e.seg == s) {
        host_unmap(child, e.off, e.end);
        extents_remove(&child->map, e.off, e.end);
      } else {
        k++;
      }
    }
    seg_leave(child, s);
  }
  child->warm = false;
}
