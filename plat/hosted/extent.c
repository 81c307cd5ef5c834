/* SPDX-License-Identifier: MIT */
#include "plat/hosted/extent.h"
#include "kernel/errno.h"
#include "kernel/mm/kmalloc.h"
#include "kernel/plat.h"
#include "lib/string.h"

#define FIRST_CAP 12

int extents_reserve(struct extents *x, u32 more) {
  if (x->n + more <= x->cap)
    return 0;
  u32 cap = x->cap ? x->cap * 2 : FIRST_CAP;
  while (cap < x->n + more)
    cap *= 2;
  struct extent *v = krealloc_as(KMEM_REGION, x->v, cap * sizeof(*v));
  if (!v)
    return -ENOMEM;
  x->v = v;
  x->cap = cap;
  return 0;
}

static void drop(struct extent *e) {
  if (e->obj)
    memobj_put(e->obj);
}

void extents_free(struct extents *x) {
  for (u32 i = 0; i < x->n; i++)
    drop(&x->v[i]);
  kfree_as(KMEM_REGION, x->v);
  *x = (struct extents){0};
}

u32 extents_find(const struct extents *x, u32 off) {
  u32 lo = 0, hi = x->n;
  while (lo < hi) {
    u32 mid = (lo + hi) / 2;
    if (x->v[mid].end > off)
      hi = mid;
    else
      lo = mid + 1;
  }
  return lo;
}

const struct extent *extents_at(const struct extents *x, u32 off) {
  u32 i = extents_find(x, off);
  return i < x->n && x->v[i].off <= off ? &x->v[i] : NULL;
}

static void make_room(struct extents *x, u32 at) {
  memmove(&x->v[at + 1], &x->v[at], (x->n - at) * sizeof(*x->v));
  x->n++;
}

static void delete_range(struct extents *x, u32 from, u32 to) {
  memmove(&x->v[from], &x->v[to], (x->n - to) * sizeof(*x->v));
  x->n -= to - from;
}

/* Makes off a border if an extent holds it. */
static void split_at(struct extents *x, u32 off) {
  u32 i = extents_find(x, off);
  if (i == x->n || x->v[i].off >= off)
    return;
  make_room(x, i);
  struct extent *low = &x->v[i], *high = &x->v[i + 1];
  *low = *high;
  low->end = high->off = off;
  high->obj_off += off - low->off;
  if (high->obj)
    memobj_get(high->obj);
}

void extents_split(struct extents *x, u32 off, u32 end, u32 *first, u32 *last) {
  split_at(x, off);
  split_at(x, end);
  *first = extents_find(x, off);
  *last = *first;
  while (*last < x->n && x->v[*last].off < end)
    ++*last;
}

void extents_remove(struct extents *x, u32 off, u32 end) {
  u32 first, last;
  extents_split(x, off, end, &first, &last);
  for (u32 i = first; i < last; i++)
    drop(&x->v[i]);
  delete_range(x, first, last);
}

bool extents_mergeable(const struct extent *a, const struct extent *b) {
  return a->end == b->off && a->kind == b->kind && a->prot == b->prot && a->hot == b->hot &&
         a->inherited == b->inherited && a->obj == b->obj && a->seg == b->seg &&
         (a->kind != EXTENT_OBJECT || a->obj_off + (a->end - a->off) == b->obj_off);
}

void extents_merge(struct extents *x, u32 off, u32 end) {
  u32 i = extents_find(x, off);
  if (i > 0)
    i--;
  while (i + 1 < x->n && x->v[i].off <= end) {
    if (!extents_mergeable(&x->v[i], &x->v[i + 1])) {
      i++;
      continue;
    }
    x->v[i].end = x->v[i + 1].end;
    drop(&x->v[i + 1]);
    delete_range(x, i + 1, i + 2);
  }
}

void extents_add(struct extents *x, const struct extent *e) {
  u32 i = extents_find(x, e->off);
  make_room(x, i);
  x->v[i] = *e;
  extents_merge(x, e->off, e->end);
}

void extents_add_inherited(struct extents *x, const struct extent *e) {
  struct extent copy = *e;
  copy.inherited = true;
  extents_add(x, &copy);
}
