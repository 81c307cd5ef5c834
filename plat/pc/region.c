/* SPDX-License-Identifier: MIT */
/* Creating, mapping, unmapping, protecting, discarding, destroying. */
#include "plat/pc/region.h"
#include "kernel/errno.h"
#include "kernel/kassert.h"
#include "kernel/mm/kmalloc.h"
#include "lib/string.h"

/* ---- life ------------------------------------------------------------------------------------ */

struct region *region_alloc(int *err) {
  struct region *r = kmalloc_as(KMEM_REGION, sizeof(*r));
  *err = -ENOMEM;
  if (r == NULL)
    return NULL;
  memset(r, 0, REGION_CLEARED);
  *err = slot_take(r);
  if (*err == -EAGAIN) { /* perhaps warm children have them all */
    region_trim();
    *err = slot_take(r);
  }
  if (*err == 0)
    return r;
  kfree_as(KMEM_REGION, r);
  return NULL;
}

int region_create(u64 group, struct region **out) {
  int err;
  struct region *r = region_alloc(&err);
  if (r == NULL)
    return err;
  r->hot = hotset_of(group);
  *out = r;
  return 0;
}

void region_take_apart(struct region *r) {
  if (r->hot)
    hotset_feedback(r->hot, r);
  for (unsigned i = 0; i < REGION_DIRS; i++) {
    if (r->dirs[i] == NULL)
      continue;
    r->dir_entries[i] = 0;
    table_put(r->dirs[i]);
  }
  objmaps_put(r->objs);
  hotset_put(r->hot);
  slot_give(r);
  kfree_as(KMEM_REGION, r);
}

u64 region_base(const struct region *r) { return r->base; }

bool region_is_object(struct region *r, u64 off) {
  spin_lock(&r->lock);
  bool is = off < UF_REGION_SIZE && objmaps_find(r->objs, (u32)(off >> PAGE_SHIFT)) != NULL;
  spin_unlock(&r->lock);
  return is;
}

/* ---- ranges, in steps of 2 MiB --------------------------------------------------------------- */

struct chunk {
  u64 off, end; /* inside one page table's span */
  bool whole;   /* all of it */
};

static struct chunk chunk_at(u64 off, u64 end) {
  u64 lo = round_down(off, TABLE_SPAN), hi = lo + TABLE_SPAN;
  struct chunk c = {off, min_u64(end, hi), false};
  c.whole = c.off == lo && c.end == hi;
  return c;
}

/* The entry for 2 MiB at off in its directory, 0 if there is no directory. */
static u64 dir_entry(const struct region *r, u64 off) {
  const struct table *d = r->dirs[dir_index(off)];
  return d ? table_load(d, table_index(off)) : 0;
}

/* ---- mapping and unmapping: an entry replaces whatever there was ----------------------------- */

/* Can be skipped: the range is as it shall be, without a table. */
static bool is_already(const struct region *r, const struct chunk *c, u64 value) {
  return dir_entry(r, c->off) == value;
}

/* Makes what replace() will change the region's own. Nothing else has changed if that fails. */
static int prepare_replace(struct region *r, u64 off, u64 end, u64 value, struct gather *g) {
  while (off < end) {
    struct chunk c = chunk_at(off, end);
    if (!is_already(r, &c, value) &&
        !(c.whole ? region_dir(r, c.off, g) : region_pages(r, c.off, g)))
      return -ENOMEM;
    off = c.end;
  }
  return 0;
}

static void replace_page(struct table *t, u64 off, u64 value, struct gather *g) {
  unsigned i = page_index(off);
  u64 old = t->e[i];
  table_set(t, i, value);
  if (old & E_FRAME)
    gather_frame(g, off, old & E_ADDR);
  else if (old & E_P)
    gather_page(g, off);
}

static void drop_if_empty(struct table *d, u64 off, struct gather *g) {
  struct table *t = table_of(d->e[table_index(off)]);
  if (!table_empty(t))
    return;
  table_set(d, table_index(off), 0);
  gather_replaced(g, off, t);
}

static void replace_whole(struct table *d, u64 off, u64 value, struct gather *g) {
  u64 old = d->e[table_index(off)];
  table_set(d, table_index(off), value);
  if (old & E_P)
    gather_dropped(g, table_of(old));
}

static void replace(struct region *r, u64 off, u64 end, u64 value, struct gather *g) {
  while (off < end) {
    struct chunk c = chunk_at(off, end);
    struct table *d = r->dirs[dir_index(off)];
    if (!is_already(r, &c, value)) {
      if (c.whole) {
        replace_whole(d, off, value, g);
      } else {
        struct table *t = table_of(d->e[table_index(off)]);
        for (u64 at = c.off; at < c.end; at += PAGE_SIZE)
          replace_page(t, at, value, g);
        if (value == 0)
          drop_if_empty(d, off, g);
      }
    }
    off = c.end;
  }
}

/* o: what the objects' map shall say of the range; NULL: nothing. */
static int replace_range(struct region *r, u64 off, u64 end, u64 value, const struct objmap *o) {
  struct gather g;
  u32 page = (u32)(off >> PAGE_SHIFT), page_end = (u32)(end >> PAGE_SHIFT);
  int err = 0;
  gather_init(&g, r);
  spin_lock(&r->lock);
  bool overlap = objmaps_overlap(r->objs, page, page_end);
  if (overlap || o)
    err = objmaps_reserve(&r->objs, 2);
  if (!err)
    err = prepare_replace(r, off, end, value, &g);
  if (!err) {
    replace(r, off, end, value, &g);
    if (overlap)
      objmaps_remove(r->objs, page, page_end);
    if (o)
      objmaps_add(r->objs, o);
  }
  gather_flush(&g);
  spin_unlock(&r->lock);
  return err;
}

/* Software bits of a protection. The hardware cannot write without reading. */
static u64 may(int prot) {
  return prot & REGION_WRITE ? E_MAY_R | E_MAY_W : prot & REGION_READ ? E_MAY_R : 0;
}

/* The class does not matter here: fork learns which pages are hot. */
int region_map(struct region *r, u32 off, u32 len, int prot, enum region_class c) {
  (void)c;
  return replace_range(r, off, (u64)off + len, E_MAPPED | may(prot), NULL);
}

int region_map_object(struct region *r, u32 off, u32 len, int prot, struct memobj *o, u64 objoff) {
  u64 end = (u64)off + len;
  struct objmap m = {.page = off >> PAGE_SHIFT,
                     .end = (u32)(end >> PAGE_SHIFT),
                     .first = objoff >> PAGE_SHIFT,
                     .o = o};
  return replace_range(r, off, end, E_MAPPED | E_OBJECT | may(prot), &m);
}

int region_unmap(struct region *r, u32 off, u32 len, bool lazily) {
  (void)lazily;
  return replace_range(r, off, (u64)off + len, 0, NULL);
}

/* ---- changes page by page -------------------------------------------------------------------- */

/* What becomes of an entry. Never of one that is not mapped. */
typedef u64 change_fn(u64 e, u64 arg);

/* Frees or flushes as the change of an entry demands. */
static void settle(struct gather *g, u64 off, u64 old, u64 e) {
  if (old & E_FRAME && !(e & E_FRAME))
    gather_frame(g, off, old & E_ADDR);
  else if (old & E_P && (old & ~e & (E_P | E_W)))
    gather_page(g, off);
}

static void change_page(struct table *t, u64 off, change_fn *change, u64 arg, struct gather *g) {
  unsigned i = page_index(off);
  u64 old = table_entry(t, i);
  if (!(old & E_MAPPED))
    return;
  u64 e = change(old, arg);
  if (e == old)
    return;
  table_set(t, i, e);
  settle(g, off, old, e);
}

/* All pages of a table: those that are as `fill` says change with it. */
static void change_table(struct table *t, u64 off, change_fn *change, u64 arg, struct gather *g) {
  if (t->fill)
    t->fill = change(t->fill, arg);
  table_each(i, t) {
    if (t->e[i] & E_MAPPED)
      change_page(t, off + i * PAGE_SIZE, change, arg, g);
  }
}

static int change_chunk(struct region *r, const struct chunk *c, change_fn *change, u64 arg,
                        struct gather *g) {
  u64 e = dir_entry(r, c->off);
  if (e == 0 || (!(e & E_P) && change(e, arg) == e))
    return 0;
  if (!(e & E_P) && c->whole) {
    struct table *d = region_dir(r, c->off, g);
    if (d)
      table_set(d, table_index(c->off), change(e, arg));
    return d ? 0 : -ENOMEM;
  }
  struct table *t = region_pages(r, c->off, g);
  if (t == NULL)
    return -ENOMEM;
  if (c->whole)
    change_table(t, c->off, change, arg, g);
  else
    for (u64 at = c->off; at < c->end; at += PAGE_SIZE)
      change_page(t, at, change, arg, g);
  return 0;
}

/* ---- protection ------------------------------------------------------------------------------ */

/* Write bits come back by faults, which know about sharing. */
static u64 with_protection(u64 e, u64 prot) {
  e = (e & ~(E_MAY_R | E_MAY_W)) | prot;
  if (!(e & E_FRAME))
    return e & E_KIND; /* the frame of zeros comes back by itself */
  e = prot & E_MAY_R ? e | E_P : e & ~(E_P | E_W);
  return prot & E_MAY_W ? e : e & ~E_W;
}

/* Makes the tables of the range the region's own, so that changing them cannot fail. */
static int prepare_change(struct region *r, u64 off, u64 end, change_fn *change, u64 arg,
                          struct gather *g) {
  while (off < end) {
    struct chunk c = chunk_at(off, end);
    u64 e = dir_entry(r, c.off);
    bool same = e == 0 || (!(e & E_P) && change(e, arg) == e);
    bool dir_only = c.whole && !(e & E_P);
    if (!same && !(dir_only ? region_dir(r, off, g) : region_pages(r, off, g)))
      return -ENOMEM;
    off = c.end;
  }
  return 0;
}

int region_protect(struct region *r, u32 off, u32 len, int prot) {
  struct gather g;
  u64 end = (u64)off + len;
  gather_init(&g, r);
  spin_lock(&r->lock);
  int err = prepare_change(r, off, end, with_protection, may(prot), &g);
  for (u64 at = off; at < end && !err;) {
    struct chunk c = chunk_at(at, end);
    err = change_chunk(r, &c, with_protection, may(prot), &g);
    at = c.end;
  }
  gather_flush(&g);
  spin_unlock(&r->lock);
  return err;
}

/* ---- discarding ------------------------------------------------------------------------------ */

static u64 without_frame(u64 e, u64 arg) {
  (void)arg;
  return e & E_OBJECT ? e : e & E_KIND;
}

/* If everything in t is private and alike but for its frames, how it is mapped; otherwise 0. */
static u64 uniform(const struct table *t) {
  u64 kind = t->fill;
  unsigned n = 0;
  table_each(i, t) {
    u64 e = table_load(t, i);
    if (kind == 0 && n == 0)
      kind = e & E_KIND;
    if (!(e & E_MAPPED) || e & E_OBJECT || (e & E_KIND) != kind)
      return 0;
    n++;
  }
  return kind & E_OBJECT || (t->fill == 0 && n < TABLE_ENTRIES) ? 0 : kind;
}

static int discard_chunk(struct region *r, const struct chunk *c, struct gather *g) {
  u64 e = dir_entry(r, c->off);
  u64 kind = e & E_P && c->whole ? uniform(table_of(e)) : 0;
  if (kind == 0)
    return change_chunk(r, c, without_frame, 0, g);
  struct table *d = region_dir(r, c->off, g);
  if (d == NULL)
    return -ENOMEM;
  replace_whole(d, c->off, kind, g);
  return 0;
}

int region_discard(struct region *r, u32 off, u32 len) {
  struct gather g;
  u64 end = (u64)off + len;
  int err = 0;
  gather_init(&g, r);
  spin_lock(&r->lock);
  for (u64 at = off; at < end && !err;) {
    struct chunk c = chunk_at(at, end);
    err = discard_chunk(r, &c, &g);
    at = c.end;
  }
  gather_flush(&g);
  spin_unlock(&r->lock);
  return err;
}
