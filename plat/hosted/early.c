/* SPDX-License-Identifier: MIT */
/*
 * What a µprocess touches before its fork returns to the program: as a rule locks and lists of its
 * C library and allocator, which handlers release. Each of these pages would cost a page fault
 * inside the call. So the parent looks, at its first system call after the fork, what it has
 * touched; the next stand-in or spare has these pages mapped, and those that were written private,
 * and fork copies these.
 *
 * Pages that have been found before are private whether they were needed again or not; so all are
 * found anew after many forks.
 */
#include "kernel/errno.h"
#include "kernel/mm/kmalloc.h"
#include "plat/hosted/linux.h"
#include "plat/hosted/pagemap.h"
#include "plat/hosted/seg.h"

#define READS_MAX 24
#define FIRST_LOOKS 3 /* after that many forks, */
#ifndef LATER_LOOKS
#define LATER_LOOKS 16 /* and then after each of so many, as it takes as long as some faults */
#endif
#ifndef ALL_ANEW
#define ALL_ANEW 256
#endif

struct early {
  u32 forks;
  u32 n, n_reads;
  u32 pages[EARLY_PAGES_MAX];  /* written, in order */
  struct run reads[READS_MAX]; /* readable without a fault, neighbours that the host maps too */
};

/* ---- looking --------------------------------------------------------------------------------- */

struct look {
  struct early *e;
  u64 base;
};

static int note_page(void *arg, u64 at, u64 end) {
  struct look *k = arg;
  for (; at < end; at += PAGE_SIZE) {
    if (k->e->n == EARLY_PAGES_MAX)
      return -ENOMEM;
    k->e->pages[k->e->n++] = (u32)(at - k->base);
  }
  return 0;
}

static int note_run(void *arg, u64 at, u64 end) {
  struct look *k = arg;
  if (k->e->n_reads == READS_MAX)
    return -ENOMEM;
  k->e->reads[k->e->n_reads++] = (struct run){(u32)(at - k->base), (u32)(end - k->base)};
  return 0;
}

/* Until there is no more room. */
static void look(struct region *r, struct early *e) {
  struct look k = {e, r->base};
  int err = 0;
  e->n = e->n_reads = 0;
  for (u32 i = 0; i < r->map.n && !err; i++) {
    const struct extent *x = &r->map.v[i];
    if (!x->seg || !x->seg->frozen || x->seg->frozen_at != r->forked_at)
      continue;
    err = seg_each_private(r, x->seg, x->off, x->end, note_page, &k, NULL);
    if (!err)
      err = pagemap_each_present(r->base + x->off, r->base + x->end, note_run, &k);
  }
}

void region_after_fork(struct region *r) {
  hostmutex_lock(&r->lock);
  if (!r->early)
    r->early = kzalloc(sizeof(*r->early));
  struct early *e = r->early;
  if (e && (e->forks < FIRST_LOOKS || e->forks % LATER_LOOKS == 0))
    look(r, e);
  if (e && ++e->forks == ALL_ANEW)
    e->n = e->n_reads = e->forks = 0;
  hostmutex_unlock(&r->lock);
}

void early_free(struct region *r) {
  kfree(r->early);
  r->early = NULL;
}

/* ---- what has been found --------------------------------------------------------------------- */

static int populate(u64 base, u32 off, u32 end, u64 advice) {
  return LX_RETRY(lx3(madvise, base + off, end - off, advice)) ? -ENOMEM : 0;
}

int early_populate(const struct region *r, u64 base, const struct extent *x, u32 *pages, u32 *n) {
  const struct early *e = r->early;
  int err = 0;
  for (u32 i = 0; e && i < e->n_reads && !err; i++) {
    u32 off = e->reads[i].off > x->off ? e->reads[i].off : x->off;
    u32 end = e->reads[i].end < x->end ? e->reads[i].end : x->end;
    if (off < end)
      err = populate(base, off, end, LX_MADV_POPULATE_READ);
  }
  for (u32 i = 0; e && i < e->n && !err; i++) {
    u32 off = e->pages[i];
    if (off < x->off || off >= x->end)
      continue;
    err = populate(base, off, off + (u32)PAGE_SIZE, LX_MADV_POPULATE_WRITE);
    pages[(*n)++] = off;
  }
  return err;
}
