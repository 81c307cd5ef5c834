/* SPDX-License-Identifier: MIT */
#include "plat/hosted/parked.h"
#include "kernel/errno.h"
#include "lib/string.h"
#include "plat/hosted/region.h"

#define UNMAPS_BEFORE_PARKING 3

static struct parked *entry_of(struct region *r, u32 off, u32 end) {
  for (unsigned i = 0; i < PARKED_MAX; i++)
    if (r->parked[i].off == off && r->parked[i].end == end)
      return &r->parked[i];
  return NULL;
}

/* Counts one more removal of [off, end); a new range takes the place of one that is not parked. */
static struct parked *count(struct region *r, u32 off, u32 end) {
  struct parked *p = entry_of(r, off, end);
  if (!p) {
    for (unsigned i = 0; i < PARKED_MAX && (!p || p->now); i++)
      p = &r->parked[(r->parked_turn + i) % PARKED_MAX];
    r->parked_turn++;
    if (p->now)
      return NULL;
    *p = (struct parked){.off = off, .end = end};
  }
  if (p->unmaps < UNMAPS_BEFORE_PARKING)
    p->unmaps++;
  return p;
}

/* Is all of it private memory that can be written? */
static bool is_plain(const struct region *r, u32 off, u32 end) {
  for (u32 i = extents_find(&r->map, off); off < end; i++) {
    const struct extent *e = i < r->map.n ? &r->map.v[i] : NULL;
    if (!e || e->off > off || e->kind != EXTENT_ANON || e->prot != (REGION_READ | REGION_WRITE))
      return false;
    off = e->end;
  }
  return true;
}

bool parked_put(struct region *r, u32 off, u32 end) {
  if (pages_of(off, end) > PARKED_PAGES_MAX || r->n_segs || !is_plain(r, off, end))
    return false;
  struct parked *p = count(r, off, end);
  if (!p || p->unmaps < UNMAPS_BEFORE_PARKING)
    return false;
  extents_remove(&r->map, off, end);
  p->now = true;
  return true;
}

bool parked_take(struct region *r, u32 off, u32 end) {
  struct parked *p = entry_of(r, off, end);
  if (!p || !p->now)
    return false;
  memset(region_ptr(r, off), 0, end - off);
  struct extent e = {
      .off = off, .end = end, .kind = EXTENT_ANON, .prot = REGION_READ | REGION_WRITE};
  extents_add(&r->map, &e);
  p->now = false;
  return true;
}

int parked_drop(struct region *r, u32 off, u32 end) {
  for (unsigned i = 0; i < PARKED_MAX; i++) {
    struct parked *p = &r->parked[i];
    if (!p->now || p->off >= end || p->end <= off)
      continue;
    if (host_unmap(r, p->off, p->end))
      return -ENOMEM;
    anon_account(r, -(i64)pages_of(p->off, p->end));
    *p = (struct parked){0};
  }
  return 0;
}

bool parked_at(const struct region *r, u32 off) {
  for (unsigned i = 0; i < PARKED_MAX; i++)
    if (r->parked[i].now && r->parked[i].off <= off && off < r->parked[i].end)
      return true;
  return false;
}
