/* SPDX-License-Identifier: MIT */
/*
 * What a region has written in its frozen segments. The host is asked, and what it said is kept
 * until there has been a page fault or a change of the region's mappings: a zygote in its stride
 * has neither, and its forks need no look at page tables.
 */
#include "kernel/errno.h"
#include "kernel/mm/kmalloc.h"
#include "plat/hosted/pagemap.h"
#include "plat/hosted/seg.h"
#include "plat/hosted/written.h"

#define RUNS_MAX 256

int seg_each_private(const struct region *r, const struct seg *s, u32 off, u64 end,
                     int (*f)(void *arg, u64 from, u64 to), void *arg, u64 *pages) {
  return (s->tracked == r || r->watched ? pagemap_each_written : pagemap_each_private)(
      r->base + off, r->base + end, f, arg, pages);
}

struct clip {
  const struct region *r;
  const struct seg *s;
  u32 i; /* extents before this one have been passed */
  int (*f)(void *arg, u64 from, u64 to);
  void *arg;
};

static bool is_searched(const struct clip *c, const struct extent *e) {
  return e->kind == EXTENT_LAZY && e->prot == (REGION_READ | REGION_WRITE) &&
         (c->s ? e->seg == c->s : e->seg->frozen);
}

static int clip_run(void *arg, u64 from, u64 to) {
  struct clip *c = arg;
  u64 base = c->r->base;
  int err = 0;
  while (c->i < c->r->map.n && base + c->r->map.v[c->i].end <= from)
    c->i++;
  for (u32 i = c->i; i < c->r->map.n && base + c->r->map.v[i].off < to && !err; i++) {
    const struct extent *e = &c->r->map.v[i];
    if (is_searched(c, e))
      err = c->f(c->arg, max_u64(from, base + e->off), min_u64(to, base + e->end));
  }
  return err;
}

static int search(const struct region *r, const struct seg *s,
                  int (*f)(void *arg, u64 from, u64 to), void *arg) {
  struct clip c = {r, s, 0, f, arg};
  u32 lo = 0, hi = 0;
  for (u32 i = 0; i < r->map.n; i++)
    if (is_searched(&c, &r->map.v[i])) {
      lo = hi ? lo : r->map.v[i].off;
      hi = r->map.v[i].end;
    }
  return hi ? pagemap_each_written(r->base + lo, r->base + hi, clip_run, &c, NULL) : 0;
}

struct recorder {
  struct runs *runs;
  u64 base;
};

static int record_run(void *arg, u64 from, u64 to) {
  struct recorder *p = arg;
  if (p->runs->n == RUNS_MAX)
    return -E2BIG;
  p->runs->v[p->runs->n++] = (struct run){(u32)(from - p->base), (u32)(to - p->base)};
  return 0;
}

/* Counts faults first: what is written during the search makes it count for nothing next time. */
static bool find_runs(const struct region *r, struct seg *s, u64 faults) {
  struct runs *k = &s->written;
  struct recorder p = {k, r->base};
  if (!k->v)
    k->v = kmalloc(RUNS_MAX * sizeof(*k->v));
  k->n = 0;
  k->faults = faults;
  k->remaps = r->remaps;
  k->known = k->v && search(r, s, record_run, &p) == 0;
  return k->known;
}

int seg_each_written(const struct region *r, struct seg *s, int (*f)(void *arg, u64 from, u64 to),
                     void *arg) {
  if (!s || s->tracked != r)
    return search(r, s, f, arg);
  const struct runs *k = &s->written;
  u64 faults = written_faults();
  bool known = k->known && k->faults == faults && k->remaps == r->remaps;
  if (!known && !find_runs(r, s, faults))
    return search(r, s, f, arg);
  int err = 0;
  for (u32 i = 0; i < k->n && !err; i++)
    err = f(arg, r->base + k->v[i].off, r->base + k->v[i].end);
  return err;
}
