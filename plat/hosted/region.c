/* SPDX-License-Identifier: MIT */
/* Mapping, unmapping, protecting, discarding. */
#include "plat/hosted/region.h"
#include "kernel/errno.h"
#include "kernel/mm/kmalloc.h"
#include "lib/string.h"
#include "plat/hosted/linux.h"

enum fork_mode fork_mode = FORK_AUTO;
static i64 anon_bytes; /* atomic */

void anon_account(struct region *r, i64 pages) {
  r->anon_pages += (u32)pages;
  __atomic_add_fetch(&anon_bytes, pages * (i64)PAGE_SIZE, __ATOMIC_RELAXED);
}

u64 regions_bytes_used(void) { return (u64)__atomic_load_n(&anon_bytes, __ATOMIC_RELAXED); }

/* ---- host mappings ----------------------------------------------------------------------- */

int host_map(struct region *r, const struct extent *e) {
  i64 p = 0;
  u64 len = e->end - e->off;
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
  return (int)lx2(munmap, region_ptr(r, off), end - off);
}

int host_protect(struct region *r, u32 off, u32 end, int prot) {
  return (int)lx3(mprotect, region_ptr(r, off), end - off, prot);
}

/* ---- life -------------------------------------------------------------------------------- */

int region_new(u64 group, struct region **out) {
  struct region *r = kzalloc(sizeof(*r));
  if (!r)
    return -ENOMEM;
  int err = slot_take(&r->slot, &r->base);
  if (err) {
    kfree(r);
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

void region_free(struct region *r) {
  for (u32 i = 0; i < r->map.n;) {
    u32 first = i++;
    while (i < r->map.n && r->map.v[i].off == r->map.v[i - 1].end)
      i++;
    host_unmap(r, r->map.v[first].off, r->map.v[i - 1].end);
  }
  anon_account(r, -(i64)r->anon_pages);
  extents_free(&r->map);
  slot_give(r->slot);
  kfree(r);
}

/* May the next inhabitant find it mapped already? */
static bool keeps_warm(const struct extent *e) {
  return e->kind == EXTENT_ANON || (e->kind == EXTENT_OBJECT && !(e->prot & REGION_WRITE));
}

void region_destroy(struct region *r) {
  for (u32 i = 0; i < r->map.n;) {
    struct extent *e = &r->map.v[i];
    if (keeps_warm(e)) {
      i++;
      continue;
    }
    if (e->kind != EXTENT_EMPTY)
      host_unmap(r, e->off, e->end);
    extents_remove(&r->map, e->off, e->end);
  }
  if (r->anon_pages <= HOT_PAGES_MAX && r->map.n <= 8)
    pool_put(r);
  else
    region_free(r);
}

u64 region_base(const struct region *r) { return r->base; }

bool region_is_object(struct region *r, u64 off) {
  const struct extent *e = off < UF_REGION_SIZE ? extents_at(&r->map, (u32)off) : NULL;
  return e && e->kind == EXTENT_OBJECT;
}

/* ---- changes ----------------------------------------------------------------------------- */

static i64 anon_in(const struct extents *x, u32 first, u32 last) {
  i64 pages = 0;
  for (u32 i = first; i < last; i++)
    if (x->v[i].kind == EXTENT_ANON)
      pages += pages_of(x->v[i].off, x->v[i].end);
  return pages;
}

/* Takes what lies in [off, end) out of the books and off the host. Room for two is reserved. */
static int clear_range(struct region *r, u32 off, u32 end) {
  u32 first, last;
  extents_split(&r->map, off, end, &first, &last);
  int err = 0;
  bool mapped = false;
  for (u32 i = first; i < last; i++)
    mapped |= r->map.v[i].kind != EXTENT_EMPTY;
  if (mapped)
    err = host_unmap(r, off, end);
  if (err) { /* the host is out of mappings: the pages stay, and so do the books */
    extents_merge(&r->map, off, end);
    return -ENOMEM;
  }
  anon_account(r, -anon_in(&r->map, first, last));
  extents_remove(&r->map, off, end);
  return 0;
}

static int add_mapping(struct region *r, struct extent *e) {
  int err = extents_reserve(&r->map, 6);
  if (!err)
    err = clear_range(r, e->off, e->end);
  if (!err)
    err = host_map(r, e);
  if (err)
    return err;
  if (e->kind == EXTENT_ANON)
    anon_account(r, pages_of(e->off, e->end));
  if (e->obj)
    memobj_get(e->obj);
  extents_add(&r->map, e);
  return 0;
}

static bool over_limit(u32 len) { return plat_mem_used() + len > plat_mem_limit(); }

int region_map(struct region *r, u32 off, u32 len, int prot, enum region_class c) {
  struct extent e = {.off = off, .end = off + len, .prot = (u8)prot, .hot = c == REGION_HOT};
  e.kind = prot ? EXTENT_ANON : EXTENT_EMPTY;
  if (e.kind == EXTENT_ANON) {
    e.hot = false;
    if (over_limit(len))
      return -ENOMEM;
  }
  return add_mapping(r, &e);
}

int region_map_object(struct region *r, u32 off, u32 len, int prot, struct memobj *o, u64 objoff) {
  struct extent e = {.off = off,
                     .end = off + len,
                     .kind = EXTENT_OBJECT,
                     .prot = (u8)prot,
                     .obj = o,
                     .obj_off = objoff};
  return add_mapping(r, &e);
}

int region_unmap(struct region *r, u32 off, u32 len) {
  int err = extents_reserve(&r->map, 4);
  return err ? err : clear_range(r, off, off + len);
}

int region_protect(struct region *r, u32 off, u32 len, int prot) {
  u32 end = off + len, first, last;
  int err = extents_reserve(&r->map, 6);
  if (err)
    return err;
  extents_split(&r->map, off, end, &first, &last);
  for (u32 i = first; i < last && !err; i++) {
    struct extent *e = &r->map.v[i];
    if (e->kind == EXTENT_EMPTY && prot != 0) { /* comes to life */
      struct extent real = *e;
      real.kind = EXTENT_ANON;
      real.prot = (u8)prot;
      real.hot = false;
      err = over_limit(e->end - e->off) ? -ENOMEM : host_map(r, &real);
      if (!err) {
        *e = real;
        anon_account(r, pages_of(e->off, e->end));
      }
    } else if (e->kind != EXTENT_EMPTY && e->prot != prot) {
      err = host_protect(r, e->off, e->end, prot);
      if (!err)
        e->prot = (u8)prot;
    }
  }
  extents_merge(&r->map, off, end);
  return err;
}

int region_discard(struct region *r, u32 off, u32 len) {
  u32 end = off + len, err = 0;
  for (u32 i = extents_find(&r->map, off); i < r->map.n && r->map.v[i].off < end; i++) {
    struct extent *e = &r->map.v[i];
    u32 from = e->off > off ? e->off : off, to = e->end < end ? e->end : end;
    if (e->kind == EXTENT_ANON)
      err |= (u32)lx3(madvise, region_ptr(r, from), to - from, LX_MADV_DONTNEED);
  }
  return err ? -ENOMEM : 0;
}

bool region_fault(struct region *r, u32 off, bool write) {
  (void)r, (void)off, (void)write;
  return false;
}
