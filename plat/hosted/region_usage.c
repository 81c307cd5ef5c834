/* SPDX-License-Identifier: MIT */
/*
 * How much memory a region takes. The host walks page tables for that, which takes milliseconds for
 * a gigabyte, and programs ask for it many times a second: what was dear to find out is told again
 * for a while.
 */
#include "plat/hosted/linux.h"
#include "plat/hosted/pagemap.h"
#include "plat/hosted/seg.h"

static u64 object_bytes(const struct memobj *o) {
  struct lx_stat st;
  return lx2(fstat, o->fd, &st) == 0 ? (u64)st.blocks * 512 : 0;
}

/* Pages that only this region has: anonymous ones. */
static u64 anonymous_bytes(const struct region *r, const struct extent *e) {
  u64 pages = 0;
  if (e->seg)
    seg_each_private(r, e->seg, e->off, e->end, NULL, NULL, &pages);
  else
    pagemap_each_private(r->base + e->off, r->base + e->end, NULL, NULL, &pages);
  return pages * PAGE_SIZE;
}

/* The live and the frozen part of a segment that is being thawed have one object. */
static bool counted_before(const struct region *r, u32 index) {
  for (u32 i = 0; i < index; i++)
    if (r->segs[i]->obj == r->segs[index]->obj)
      return true;
  return false;
}

static void usage_locked(struct region *r, struct region_usage *u) {
  for (u32 i = 0; i < r->map.n; i++) {
    const struct extent *e = &r->map.v[i];
    if (e->kind == EXTENT_ANON || (e->kind == EXTENT_LAZY && e->seg->frozen))
      u->private_bytes += anonymous_bytes(r, e);
    else if (e->kind == EXTENT_OBJECT)
      u->shared_bytes += min_u64(e->end - e->off, object_bytes(e->obj));
  }
  for (u32 i = 0; i < r->n_segs; i++) {
    const struct seg *s = r->segs[i];
    if (counted_before(r, i))
      continue;
    bool alone = !s->frozen || __atomic_load_n(&s->sharers, __ATOMIC_RELAXED) == 1;
    *(alone ? &u->private_bytes : &u->shared_bytes) += object_bytes(s->obj);
  }
}

#define DEAR_NS 200000 /* cheaper: always asked anew */
#define SHARE 64       /* of all time, at most one in so many goes into asking */

void region_usage(struct region *r, struct region_usage *u) {
  hostmutex_lock(&r->lock);
  u64 start = plat_now();
  if (start >= r->usage_until) {
    r->usage = (struct region_usage){0, 0};
    usage_locked(r, &r->usage);
    u64 end = plat_now(), took = end - start;
    r->usage_until = took > DEAR_NS ? end + took * SHARE : 0;
  }
  *u = r->usage;
  hostmutex_unlock(&r->lock);
}
