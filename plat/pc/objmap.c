/* SPDX-License-Identifier: MIT */
#include "plat/pc/objmap.h"
#include "kernel/errno.h"
#include "kernel/mm/kmalloc.h"
#include "lib/string.h"

struct objmaps *objmaps_share(struct objmaps *m) {
  if (m)
    __atomic_add_fetch(&m->refs, 1, __ATOMIC_RELAXED);
  return m;
}

void objmaps_put(struct objmaps *m) {
  if (m == NULL || __atomic_sub_fetch(&m->refs, 1, __ATOMIC_ACQ_REL) != 0)
    return;
  for (u32 i = 0; i < m->n; i++)
    memobj_put(m->v[i].o);
  kfree(m);
}

/* Index of the first mapping that ends above `page`. */
static u32 index_of(const struct objmaps *m, u32 page) {
  u32 lo = 0, hi = m->n;
  while (lo < hi) {
    u32 mid = (lo + hi) / 2;
    if (m->v[mid].end > page)
      hi = mid;
    else
      lo = mid + 1;
  }
  return lo;
}

bool objmaps_overlap(const struct objmaps *m, u32 page, u32 end) {
  if (m == NULL)
    return false;
  u32 i = index_of(m, page);
  return i < m->n && m->v[i].page < end;
}

const struct objmap *objmaps_find(const struct objmaps *m, u32 page) {
  return objmaps_overlap(m, page, page + 1) ? &m->v[index_of(m, page)] : NULL;
}

static struct objmaps *copy(const struct objmaps *m, u32 extra) {
  u32 n = m ? m->n : 0, cap = n + extra + 4;
  struct objmaps *c = kmalloc(sizeof(*c) + cap * sizeof(c->v[0]));
  if (c == NULL)
    return NULL;
  c->refs = 1;
  c->n = n;
  c->cap = cap;
  for (u32 i = 0; i < n; i++) {
    c->v[i] = m->v[i];
    memobj_get(c->v[i].o);
  }
  return c;
}

int objmaps_reserve(struct objmaps **m, u32 extra) {
  if (*m && __atomic_load_n(&(*m)->refs, __ATOMIC_ACQUIRE) == 1 && (*m)->n + extra <= (*m)->cap)
    return 0;
  struct objmaps *c = copy(*m, extra);
  if (c == NULL)
    return -ENOMEM;
  objmaps_put(*m);
  *m = c;
  return 0;
}

static void insert(struct objmaps *m, u32 i, const struct objmap *e) {
  memmove(&m->v[i + 1], &m->v[i], (m->n - i) * sizeof(*e));
  m->v[i] = *e;
  m->n++;
}

void objmaps_add(struct objmaps *m, const struct objmap *e) {
  memobj_get(e->o);
  insert(m, index_of(m, e->page), e);
}

/* Lets mapping i begin at `page` only. */
static void trim_front(struct objmap *e, u32 page) {
  e->first += page - e->page;
  e->page = page;
}

void objmaps_remove(struct objmaps *m, u32 page, u32 end) {
  u32 i = index_of(m, page);
  if (i < m->n && m->v[i].page < page) {
    struct objmap rest = m->v[i];
    m->v[i].end = page;
    i++;
    if (rest.end > end) { /* a hole in the middle */
      trim_front(&rest, end);
      memobj_get(rest.o);
      insert(m, i, &rest);
      return;
    }
  }
  u32 last = i;
  while (last < m->n && m->v[last].end <= end)
    memobj_put(m->v[last++].o);
  memmove(&m->v[i], &m->v[last], (m->n - last) * sizeof(m->v[0]));
  m->n -= last - i;
  if (i < m->n && m->v[i].page < end)
    trim_front(&m->v[i], end);
}
