/* SPDX-License-Identifier: MIT */
/*
 * Claiming: a part of a frozen segment that its region writes all over is made private at once.
 *
 * All regions have one host address space. When a page that the host has mapped for reading is
 * written for the first time, the host makes all CPUs that run anything in that address space
 * forget the old page: it interrupts them, among them the one that runs the child, and waits, which
 * takes several times as long as copying the page. In a part that is claimed this happens a few
 * times instead of once for each page.
 *
 * It is done while the µprocess runs. Write permission is taken from the part (who writes to it
 * waits in region_fault), pages that are not private are taken off the page tables, and permission
 * is given back. Then the host is made to copy what is not there: no CPU can have seen it, so none
 * has to forget it. Contents never change, and an error leaves the part to be copied page by page.
 */
#include "kernel/errno.h"
#include "plat/hosted/linux.h"
#include "plat/hosted/seg.h"

#define RW (REGION_READ | REGION_WRITE)
#define RUNS_MAX (CLAIM_PART / PAGE_SIZE / 2 + 1)

/* ---- a part ---------------------------------------------------------------------------------- */

/* Pages of a part that are not private, in runs. */
struct shared {
  u64 at; /* pages before this one have been looked at */
  u32 n;
  struct lx_iovec runs[RUNS_MAX];
};

static void add_run(struct shared *h, u64 end) {
  if (end > h->at && h->n < RUNS_MAX)
    h->runs[h->n++] = (struct lx_iovec){(void *)h->at, end - h->at};
}

static int note_private(void *arg, u64 from, u64 to) {
  struct shared *h = arg;
  add_run(h, from);
  h->at = to;
  return 0;
}

/* All runs in one call, with one interrupt, if the host can (Linux 6.16 has both). */
static bool forget_at_once(const struct shared *h) {
  static int self = -1; /* the thaw thread's alone */
  if (self == -1)
    self = (int)lx2(pidfd_open, lx0(getpid), 0);
  if (self < 0)
    return false;
  u64 len = 0;
  for (u32 i = 0; i < h->n; i++)
    len += h->runs[i].len;
  if ((u64)lx5(process_madvise, self, h->runs, h->n, LX_MADV_DONTNEED, 0) == len)
    return true;
  lx1(close, self);
  self = -2;
  return false;
}

static void forget(const struct shared *h) {
  if (h->n > 1 && forget_at_once(h))
    return;
  for (u32 i = 0; i < h->n; i++)
    lx3(madvise, h->runs[i].base, h->runs[i].len, LX_MADV_DONTNEED);
}

/* Would giving back the permission of [off, end), which is in e, have to split a host mapping? That
   may fail. */
static bool has_readable_neighbour(const struct region *r, const struct extent *e, u32 off,
                                   u32 end) {
  const struct extent *before = off == e->off && off ? extents_at(&r->map, off - 1) : NULL;
  const struct extent *after = end == e->end && end ? extents_at(&r->map, end) : NULL;
  return (before && before->seg == e->seg && before->prot == REGION_READ) ||
         (after && after->seg == e->seg && after->prot == REGION_READ);
}

static bool forget_shared(struct region *r, const struct extent *e, u32 off, u32 end) {
  struct shared h = {.at = r->base + off};
  r->steps++;
  if (host_protect(r, off, end, REGION_READ))
    return false;
  if (seg_each_private(r, e->seg, off, end, note_private, &h, NULL) == 0) {
    add_run(&h, r->base + end);
    forget(&h);
  }
  if (host_protect(r, off, end, RW))
    plat_panic("cannot give back the permission to write");
  return true;
}

/* ---- interface ------------------------------------------------------------------------------- */

/* The first part of s from `at` on, which is in *found; false: there is none. */
static bool next_part(const struct region *r, const struct seg *s, u64 at, u32 *off, u32 *end,
                      const struct extent **found) {
  for (u32 i = at < UINT32_MAX ? extents_find(&r->map, (u32)at) : r->map.n; i < r->map.n; i++) {
    const struct extent *e = &r->map.v[i];
    if (e->kind != EXTENT_LAZY || e->seg != s || e->prot != RW)
      continue;
    *off = e->off > at ? e->off : (u32)at;
    *end = (u32)min_u64(e->end, round_down(*off + CLAIM_PART, CLAIM_PART));
    *found = e;
    return true;
  }
  return false;
}

bool seg_claim_step(struct region *r, const struct seg *s, u64 *at, struct claim *c) {
  const struct extent *e;
  u32 off, end;
  u64 pages = 0;
  *c = (struct claim){0, 0};
  if (!seg_is_frozen(s) || !next_part(r, s, *at, &off, &end, &e))
    return false;
  *at = end;
  if (seg_each_private(r, s, off, end, NULL, NULL, &pages) ||
      pages * CLAIM_SHARE < pages_of(off, end) || pages == pages_of(off, end) ||
      has_readable_neighbour(r, e, off, end))
    return true;
  if (forget_shared(r, e, off, end))
    *c = (struct claim){r->base + off, end - off};
  return true;
}

void seg_claim_fill(const struct claim *c) {
  if (c->len)
    LX_RETRY(lx3(madvise, c->at, c->len, LX_MADV_POPULATE_WRITE)); /* else page by page */
}
