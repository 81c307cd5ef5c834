/* SPDX-License-Identifier: MIT */
/*
 * The end of a µprocess: what its region keeps for the next one, and makes ready for it.
 *
 * Of lazy extents the pages stay that the µprocess had for itself, as the next one will write the
 * same. When the region has served several, they are copied ahead, from the frozen object: fork
 * then copies only those that its parent has written since the freeze, which it has to look for
 * anyway. From then on the host notes which pages are written (written.h).
 */
#include "kernel/errno.h"
#include "kernel/mm/kmalloc.h"
#include "lib/string.h"
#include "plat/hosted/linux.h"
#include "plat/hosted/pagemap.h"
#include "plat/hosted/seg.h"
#include "plat/hosted/written.h"

#define WARM_EXTENTS_MAX 32
#define WARM_PAGES_MAX 512      /* private pages of lazy extents that are kept, in all; */
#define WARM_LARGE_MAX 16       /* of large segments, if the process lived long; */
#define WARM_SEARCH_NS 30000    /* and how long they may be searched for; */
#define ZYGOTE_SEARCH_NS 300000 /* if a zygote's next worker will profit */
#define READY_LIVES 2 /* µprocesses that wrote the same pages, before these are copied ahead */

struct warm {
  struct region *r;
  u32 max;
};

static int note_warm(void *arg, u64 at, u64 end) {
  struct warm *w = arg;
  struct region *r = w->r;
  if (!r->warm_pages)
    r->warm_pages = kmalloc(WARM_PAGES_MAX * sizeof(*r->warm_pages));
  if (!r->warm_pages)
    return -ENOMEM;
  for (; at < end; at += PAGE_SIZE) {
    if (r->n_warm == w->max)
      return -E2BIG;
    r->warm_pages[r->n_warm++] = (u32)(at - r->base);
  }
  return 0;
}

/*
 * The next fork copies what is kept. That pays where workers live for a request (fork is then most
 * of their life), not where fork is to be short and the child long; a parent that forks once in a
 * while has children of the latter kind, however soon they are done.
 */
static u32 max_kept(const struct region *r, const struct seg *s, u64 now) {
  bool small = seg_extent_bytes(r, s) <= SETTLED_SEGMENT;
  if (!r->of_zygote && (!small || s->home))
    return 0;
  if (small)
    return WARM_PAGES_MAX;
  return now - r->born_at < SHORT_LIFE_NS ? WARM_PAGES_MAX : WARM_LARGE_MAX;
}

/* A frozen extent whose segment somebody else still shares. Its pages go if they are many. */
static bool keeps_warm_lazy(struct region *r, const struct extent *e) {
  if (!e->seg->frozen || e->prot != (REGION_READ | REGION_WRITE) ||
      __atomic_load_n(&e->seg->sharers, __ATOMIC_SEQ_CST) <= 1)
    return false;
  if (r->watched)
    return true;
  u64 start = plat_now(), limit = r->of_zygote ? ZYGOTE_SEARCH_NS : WARM_SEARCH_NS;
  u32 had = r->n_warm, max = had + max_kept(r, e->seg, start);
  struct warm w = {r, max < WARM_PAGES_MAX ? max : WARM_PAGES_MAX};
  if (seg_each_private(r, e->seg, e->off, e->end, note_warm, &w, NULL) == 0 &&
      plat_now() - start <= limit)
    return true;
  r->n_warm = had;
  r->lives = 0;
  return seg_map_private(r, e, e->prot) == 0;
}

static bool keeps_warm(struct region *r, const struct extent *e) {
  if (r->is_child && !e->inherited) /* the next child would have to give it up */
    return false;
  switch ((enum extent_kind)e->kind) {
  case EXTENT_ANON:
    return true;
  case EXTENT_OBJECT:
    return !(e->prot & REGION_WRITE);
  case EXTENT_LAZY:
    return keeps_warm_lazy(r, e);
  case EXTENT_EMPTY:
    break;
  }
  return false;
}

static void give_up(struct region *r, u32 i) {
  struct extent e = r->map.v[i];
  if (e.kind == EXTENT_ANON)
    anon_account(r, -(i64)pages_of(e.off, e.end));
  if (e.kind != EXTENT_EMPTY && (e.kind != EXTENT_LAZY || e.seg->frozen))
    host_unmap(r, e.off, e.end);
  extents_remove(&r->map, e.off, e.end);
}

/* The private pages that a region had when it was taken out of the pool: what the fork copied is
   marked. */
struct pages {
  u32 *v, n;
};

/* The pages of a watched region whose lazy extents are all kept: those that it had if there has
   been no fault since. */
static void note_written(struct region *r, u64 faults, struct pages *last) {
  struct warm w = {r, WARM_PAGES_MAX};
  if (last->v && r->noted_faults == faults && r->noted_remaps == r->remaps) {
    r->warm_pages = last->v;
    r->n_warm = last->n;
    last->v = NULL;
    return;
  }
  if (seg_each_written(r, NULL, note_warm, &w) == 0)
    return;
  for (u32 i = r->map.n; i-- > 0;)
    if (r->map.v[i].kind == EXTENT_LAZY)
      give_up(r, i);
  r->n_warm = r->lives = 0;
  r->watched = false;
}

/* Leaves only what keeps warm. Splits nothing: needs no room. */
static void strip(struct region *r, u64 faults, struct pages *last) {
  r->n_warm = 0;
  for (u32 i = 0; i < r->map.n;)
    if (keeps_warm(r, &r->map.v[i]))
      i++;
    else
      give_up(r, i);
  if (r->watched)
    note_written(r, faults, last);
  r->kept_pages = r->n_warm;
  seg_drop_unused(r);
}

static void watch(struct region *r) {
  bool all = true;
  for (u32 i = 0; i < r->map.n && all; i++)
    if (r->map.v[i].kind == EXTENT_LAZY)
      all = written_follow(r->base + r->map.v[i].off, r->base + r->map.v[i].end);
  r->watched = all;
}

/* Those of `last`, that the fork copied because the parent had written them, are left to the next
   fork: it will do so again. */
static void mark_copied(struct region *r, const struct pages *last) {
  u32 i = 0;
  for (u32 k = 0; last->v && k < r->n_warm; k++) {
    while (i < last->n && (last->v[i] & ~WARM_COPIED) < r->warm_pages[k])
      i++;
    if (i < last->n && last->v[i] == (r->warm_pages[k] | WARM_COPIED))
      r->warm_pages[k] |= WARM_COPIED;
  }
}

/* Its segments have another sharer and are its own as well: nobody changes their objects. */
static void make_ready(struct region *r) {
  u64 now = seg_changes();
  u32 k = 0;
  for (u32 i = 0; i < r->map.n; i++) {
    const struct extent *e = &r->map.v[i];
    u64 frozen = e->kind == EXTENT_LAZY ? seg_frozen_base(e) : 0;
    for (; k < r->n_warm && r->warm_pages[k] < e->end; k++) {
      if (!frozen)
        return;
      if (!(r->warm_pages[k] & WARM_COPIED))
        memcpy(region_ptr(r, r->warm_pages[k]), (const void *)(frozen + r->warm_pages[k]),
               PAGE_SIZE);
    }
  }
  r->ready = now;
}

static void to_pool(struct region *r) {
  struct seg *segs[REGION_SEGS_MAX];
  u32 n = r->n_segs;
  for (u32 i = 0; i < n; i++) {
    segs[i] = r->segs[i];
    seg_get(segs[i]);
  }
  for (u32 i = 0; i < n; i++)
    seg_unshare_quietly(segs[i], r);
  pool_put(r); /* somebody may take it from now on */
  for (u32 i = 0; i < n; i++) {
    if (__atomic_load_n(&segs[i]->sharers, __ATOMIC_SEQ_CST) == 0)
      pool_forget(segs[i]);
    seg_put(segs[i]);
  }
}

void region_destroy(struct region *r) {
  thaw_keep_off(r);
  r->usage_until = 0;
  r->begins = false;
  region_abandon(r);
  early_free(r);
  for (u32 i = 0; i < r->n_segs; i++)
    seg_close_gaps(r, r->segs[i], 0);
  if (parked_drop(r, 0, UINT32_MAX) || r->anon_pages > HOT_PAGES_MAX) {
    region_free(r);
    return;
  }
  struct pages last = {r->warm_pages, r->n_warm};
  bool ahead = r->of_zygote && r->lives >= READY_LIVES;
  u64 faults = r->watched || ahead ? written_faults() : 0; /* before the search */
  r->warm_pages = NULL;
  r->ready = 0;
  strip(r, faults, &last);
  if (ahead && r->n_warm) {
    mark_copied(r, &last);
    if (!r->watched)
      watch(r);
    make_ready(r);
  }
  stand_in_drop(r);
  r->noted_faults = faults;
  r->noted_remaps = r->remaps;
  kfree(last.v);
  if (r->map.n == 0 || r->map.n > WARM_EXTENTS_MAX)
    region_free(r);
  else
    to_pool(r);
}
