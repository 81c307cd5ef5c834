/* SPDX-License-Identifier: MIT */
/* Mapping, unmapping, protecting, discarding. */
#include "plat/hosted/region.h"
#include "kernel/errno.h"
#include "kernel/mm/kmalloc.h"
#include "lib/string.h"
#include "plat/hosted/linux.h"
#include "plat/hosted/pagemap.h"
#include "plat/hosted/seg.h"

enum fork_mode fork_mode = FORK_AUTO;
static i64 anon_bytes; /* atomic */

void anon_account(struct region *r, i64 pages) {
  r->anon_pages += (u32)pages;
  __atomic_add_fetch(&anon_bytes, pages * (i64)PAGE_SIZE, __ATOMIC_RELAXED);
}

u64 regions_bytes_used(void) { return (u64)__atomic_load_n(&anon_bytes, __ATOMIC_RELAXED); }

/* ---- host mappings --------------------------------------------------------------------------- */

int host_map(struct region *r, const struct extent *e) {
  i64 p = 0;
  u64 len = e->end - e->off;
  r->remaps += e->kind == EXTENT_ANON || e->kind == EXTENT_OBJECT;
  if (e->kind == EXTENT_ANON)
    p = lx6(mmap, region_ptr(r, e->off), len, e->prot,
            LX_MAP_PRIVATE | LX_MAP_ANONYMOUS | LX_MAP_NORESERVE | LX_MAP_FIXED, -1, 0);
  else if (e->kind == EXTENT_OBJECT)
    p = lx6(mmap, region_ptr(r, e->off), len, e->prot, LX_MAP_SHARED | LX_MAP_FIXED, e->obj->fd,
            e->obj_off);
  if (lx_failed(p))
    return -ENOMEM;
  return 0;
}

int host_unmap(struct region *r, u32 off, u32 end) {
  r->remaps++;
  return (int)lx2(munmap, region_ptr(r, off), end - off);
}

int host_protect(struct region *r, u32 off, u32 end, int prot) {
  r->remaps++;
  return (int)lx3(mprotect, region_ptr(r, off), end - off, prot);
}

/* ---- life ------------------------------------------------------------------------------------ */

int region_new(u64 group, struct region **out) {
  struct region *r = kzalloc_as(KMEM_REGION, sizeof(*r));
  if (!r)
    return -ENOMEM;
  int err = slot_take(&r->slot, &r->base);
  if (err) {
    kfree_as(KMEM_REGION, r);
    return err;
  }
  r->group = group;
  list_init(&r->node);
  list_init(&r->lru_node);
  *out = r;
  return 0;
}

int region_create(u64 group, struct region **out) {
  int err = region_new(group, out);
  if (err != -EAGAIN)
    return err;
  pool_drain(); /* warm regions occupy slots */
  return region_new(group, out);
}

/* Where the host mapping of live s is; 0: there is none. A warm region may know a segment of
   another, which is thawed or grows meanwhile: whatever span is seen then, in r it is to be
   unmapped. */
__attribute__((no_sanitize("thread"))) static u64 live_span(const struct seg *s, u64 *from) {
  u64 end = __atomic_load_n(&s->end, __ATOMIC_RELAXED);
  *from = __atomic_load_n(&s->lo, __ATOMIC_RELAXED);
  return seg_is_frozen(s) || end <= *from ? 0 : end - *from;
}

/* Unmaps runs of adjacent extents together: whatever lies in them goes. */
static void unmap_everything(struct region *r) {
  for (u32 i = 0; i < r->map.n;) {
    u32 first = i++;
    while (i < r->map.n && r->map.v[i].off == r->map.v[i - 1].end)
      i++;
    host_unmap(r, r->map.v[first].off, r->map.v[i - 1].end);
  }
  for (u32 i = 0; i < r->n_segs; i++) {
    u64 from, n = live_span(r->segs[i], &from);
    if (n)
      lx2(munmap, r->base + from, n);
  }
}

void region_free(struct region *r) {
  thaw_keep_off(r);
  region_abandon(r);
  unmap_everything(r);
  parked_drop(r, 0, UINT32_MAX); /* their neighbours have gone: nothing to split, no error */
  while (r->n_segs)
    seg_leave(r, r->segs[0]);
  stand_in_drop(r);
  anon_account(r, -(i64)r->anon_pages);
  extents_free(&r->map);
  kfree(r->warm_pages);
  early_free(r);
  slot_give(r->slot);
  kfree_as(KMEM_REGION, r);
}

u64 region_base(const struct region *r) { return r->base; }

bool region_is_object(struct region *r, u64 off) {
  if (off >= UF_REGION_SIZE)
    return false;
  hostmutex_lock(&r->lock);
  const struct extent *e = extents_at(&r->map, (u32)off);
  bool is_object = e && e->kind == EXTENT_OBJECT;
  hostmutex_unlock(&r->lock);
  return is_object;
}

/* ---- changes --------------------------------------------------------------------------------- */

/* Takes one extent, or what is left of it after a split, off the host. */
static int unmap_extent(struct region *r, const struct extent *e) {
  if (e->kind == EXTENT_EMPTY)
    return 0;
  if (e->kind == EXTENT_LAZY && !e->seg->frozen)
    return seg_unmap(r, e->seg, e->off, e->end, e->prot);
  int err = host_unmap(r, e->off, e->end);
  if (!err)
    err = seg_close_over(r, e->off, e->end);
  if (!err && e->kind == EXTENT_ANON)
    anon_account(r, -(i64)pages_of(e->off, e->end));
  return err;
}

/* Takes what lies in [off, end) out of the books and off the host. Room for two is reserved. On an
   error (the host is out of mappings) a part may be left, on the host and in the books. */
static int clear_range(struct region *r, u32 off, u32 end) {
  u32 first, last;
  int err = 0;
  extents_split(&r->map, off, end, &first, &last);
  while (first < last && !err) {
    struct extent e = r->map.v[first];
    err = unmap_extent(r, &e);
    if (!err) {
      extents_remove(&r->map, e.off, e.end);
      last--;
    }
  }
  if (err)
    extents_merge(&r->map, off, end);
  if (r->n_segs)
    seg_drop_unused(r);
  return err ? -ENOMEM : 0;
}

/* Enters e, whose range is clear, in the books after mapping it. */
static int add_extent(struct region *r, struct extent *e) {
  int err = 0;
  if (e->kind == EXTENT_LAZY) {
    err = seg_map(r, e->seg, e->off, e->end, e->prot);
  } else if (e->kind != EXTENT_EMPTY) {
    err = seg_make_way(r, NULL, e->off);
    if (!err)
      err = host_map(r, e);
  }
  if (err)
    return err;
  if (e->kind == EXTENT_ANON)
    anon_account(r, pages_of(e->off, e->end));
  if (e->obj)
    memobj_get(e->obj);
  extents_add(&r->map, e);
  return 0;
}

static int replace_range(struct region *r, struct extent *e) {
  int err = extents_reserve(&r->map, 6);
  if (!err)
    err = parked_drop(r, e->off, e->end);
  if (!err)
    err = clear_range(r, e->off, e->end);
  if (!err)
    err = add_extent(r, e);
  if (r->n_segs)
    seg_drop_unused(r);
  return err;
}

/* Decides how fork will treat e, which is clear and accessible. */
static void choose_kind(struct region *r, struct extent *e) {
  u32 pages = pages_of(e->off, e->end);
  bool room = r->anon_pages + pages <= HOT_PAGES_MAX;
  bool hot = e->hot || (pages <= SMALL_COLD_PAGES && fork_mode != FORK_LAZY);
  e->kind = EXTENT_ANON;
  e->hot = false;
  if (fork_mode == FORK_COPY)
    return;
  e->seg = seg_absorbing(r, e->off, e->end);
  if (!e->seg && hot && room)
    return;
  if (!e->seg)
    e->seg = seg_for(r, e->off);
  if (e->seg)
    e->kind = EXTENT_LAZY;
}

/* The host cannot write without reading; neither need the books. */
static u8 host_prot(int prot) {
  return (u8)(prot & REGION_WRITE ? REGION_READ | REGION_WRITE : prot & REGION_READ);
}

static int map_locked(struct region *r, u32 off, u32 len, int prot, enum region_class c) {
  struct extent e = {.off = off, .end = off + len, .prot = host_prot(prot)};
  e.hot = c == REGION_HOT;
  int err = extents_reserve(&r->map, 6);
  if (!err && e.prot == (REGION_READ | REGION_WRITE) && parked_take(r, e.off, e.end))
    return 0;
  if (!err)
    err = parked_drop(r, e.off, e.end);
  if (!err)
    err = clear_range(r, e.off, e.end);
  if (!err && e.prot) {
    if (!plat_mem_fits(len))
      err = -ENOMEM;
    choose_kind(r, &e);
  }
  if (!err)
    err = add_extent(r, &e);
  if (r->n_segs)
    seg_drop_unused(r);
  return err;
}

static int unmap_locked(struct region *r, u32 off, u32 len, bool lazily) {
  int err = extents_reserve(&r->map, 4);
  if (err)
    return err;
  if (lazily && parked_put(r, off, off + len))
    return 0;
  err = parked_drop(r, off, off + len);
  return err ? err : clear_range(r, off, off + len);
}

/* An extent that had no host mapping may be accessed from now on. */
static int bring_to_life(struct region *r, u32 off, u32 end, bool hot, u8 prot) {
  struct extent e = {.off = off, .end = end, .prot = prot, .hot = hot};
  if (!plat_mem_fits(end - off))
    return -ENOMEM;
  extents_remove(&r->map, off, end);
  choose_kind(r, &e);
  int err = add_extent(r, &e);
  if (err) {
    e = (struct extent){.off = off, .end = end, .hot = hot};
    extents_add(&r->map, &e);
  }
  return err;
}

static int protect_extent(struct region *r, struct extent *e, u8 prot) {
  int err;
  if (e->kind == EXTENT_LAZY && !e->seg->frozen)
    err = seg_protect(r, e->seg, e->off, e->end, e->prot, prot);
  else
    err = host_protect(r, e->off, e->end, prot);
  if (!err)
    e->prot = prot;
  return err;
}

static int protect_locked(struct region *r, u32 off, u32 len, int prot) {
  u32 end = off + len;
  int err = 0;
  for (u32 at = off; at < end && !err;) {
    u32 i, last;
    err = extents_reserve(&r->map, 6);
    if (err)
      break;
    extents_split(&r->map, at, end, &i, &last); /* anew: extents may have merged */
    if (i == last)
      break;
    struct extent *e = &r->map.v[i];
    u32 from = e->off;
    at = e->end;
    if (e->kind != EXTENT_EMPTY)
      err = e->prot == host_prot(prot) ? 0 : protect_extent(r, e, host_prot(prot));
    else if (prot)
      err = bring_to_life(r, from, at, e->hot, host_prot(prot));
  }
  extents_merge(&r->map, off, end);
  return err ? -ENOMEM : 0;
}

/* ---- discarding ------------------------------------------------------------------------------ */

#define ZERO_PAGES_MAX 16

/* Frozen pages lie beneath private ones: a few are overwritten, more get fresh memory. */
static int discard_frozen(struct region *r, u32 from, u32 to) {
  const struct extent *e = extents_at(&r->map, from);
  u8 prot = e->prot;
  if (pages_of(from, to) <= ZERO_PAGES_MAX && (prot & REGION_WRITE)) {
    memset(region_ptr(r, from), 0, to - from);
    return 0;
  }
  struct extent fresh = {.off = from, .end = to, .prot = prot};
  int err = clear_range(r, from, to);
  if (err)
    return err;
  if (prot)
    choose_kind(r, &fresh);
  return add_extent(r, &fresh);
}

static int discard_extent(struct region *r, const struct extent *e, u32 from, u32 to) {
  switch ((enum extent_kind)e->kind) {
  case EXTENT_ANON:
    return (int)LX_RETRY(lx3(madvise, region_ptr(r, from), to - from, LX_MADV_DONTNEED));
  case EXTENT_LAZY:
    return e->seg->frozen ? discard_frozen(r, from, to)
                          : memobj_punch(e->seg->obj, from, to - from);
  case EXTENT_EMPTY:
  case EXTENT_OBJECT:
    break;
  }
  return 0;
}

static int discard_locked(struct region *r, u32 off, u32 len) {
  u32 end = off + len;
  int err = 0;
  while (off < end && !err) {
    err = extents_reserve(&r->map, 6);
    u32 i = extents_find(&r->map, off);
    if (err || i == r->map.n || r->map.v[i].off >= end)
      break;
    const struct extent e = r->map.v[i];
    u32 from = e.off > off ? e.off : off, to = e.end < end ? e.end : end;
    err = discard_extent(r, &e, from, to);
    off = to;
  }
  if (r->n_segs)
    seg_drop_unused(r);
  return err ? -ENOMEM : 0;
}

/* ---- the interface: each call under the region's lock ---------------------------------------- */

int region_map(struct region *r, u32 off, u32 len, int prot, enum region_class c) {
  hostmutex_lock(&r->lock);
  int err = map_locked(r, off, len, prot, c);
  hostmutex_unlock(&r->lock);
  return err;
}

int region_map_object(struct region *r, u32 off, u32 len, int prot, struct memobj *o, u64 objoff) {
  struct extent e = {.off = off,
                     .end = off + len,
                     .kind = EXTENT_OBJECT,
                     .prot = host_prot(prot),
                     .obj = o,
                     .obj_off = objoff};
  hostmutex_lock(&r->lock);
  int err = replace_range(r, &e);
  hostmutex_unlock(&r->lock);
  return err;
}

int region_unmap(struct region *r, u32 off, u32 len, bool lazily) {
  hostmutex_lock(&r->lock);
  int err = unmap_locked(r, off, len, lazily);
  hostmutex_unlock(&r->lock);
  return err;
}

int region_protect(struct region *r, u32 off, u32 len, int prot) {
  hostmutex_lock(&r->lock);
  int err = protect_locked(r, off, len, prot);
  hostmutex_unlock(&r->lock);
  return err;
}

int region_discard(struct region *r, u32 off, u32 len) {
  hostmutex_lock(&r->lock);
  int err = discard_locked(r, off, len);
  hostmutex_unlock(&r->lock);
  return err;
}

/* The thaw thread takes a part of a region away for a moment, with the lock held: once it can be
   taken, the access works. If it does not at once again, that was not the reason. */
bool region_fault(struct region *r, u32 off, bool write) {
  hostmutex_lock(&r->lock);
  const struct extent *e = extents_at(&r->map, off);
  u8 needed = write ? REGION_WRITE : REGION_READ;
  bool again = e && (e->kind == EXTENT_LAZY || e->kind == EXTENT_ANON) && (e->prot & needed) &&
               (r->fault_steps != r->steps || r->fault_off != off);
  r->fault_steps = r->steps;
  r->fault_off = off;
  hostmutex_unlock(&r->lock);
  return again;
}
