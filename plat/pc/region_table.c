/* SPDX-License-Identifier: MIT */
#include "kernel/kassert.h"
#include "plat/pc/region.h"

/* ---- what waits for a flush ------------------------------------------------------------------ */

void gather_init(struct gather *g, struct region *r) {
  g->r = r;
  g->lo = UINT64_MAX;
  g->hi = 0;
  g->all = false;
  g->n_frames = g->n_tables = 0;
}

void gather_page(struct gather *g, u64 off) {
  off &= PAGE_MASK;
  g->lo = min_u64(g->lo, off);
  g->hi = max_u64(g->hi, off + PAGE_SIZE);
}

void gather_frame(struct gather *g, u64 off, paddr p) {
  if (g->n_frames == GATHER_FRAMES)
    gather_flush(g);
  gather_page(g, off);
  g->frames[g->n_frames++] = p;
}

static void add_table(struct gather *g, struct table *t) {
  if (g->n_tables == GATHER_TABLES)
    gather_flush(g);
  g->tables[g->n_tables++] = t;
}

/* Flushing one page makes a CPU forget where the tables were; the pages are the same. */
void gather_replaced(struct gather *g, u64 off, struct table *t) {
  add_table(g, t);
  gather_page(g, off);
}

void gather_dropped(struct gather *g, struct table *t) {
  add_table(g, t);
  g->all = true;
}

static __attribute__((noinline)) void free_gathered(struct gather *g) {
  for (unsigned i = 0; i < g->n_frames; i++)
    frame_put(g->frames[i]);
  for (unsigned i = 0; i < g->n_tables; i++)
    table_put(g->tables[i]);
  g->n_frames = g->n_tables = 0;
}

void gather_flush(struct gather *g) {
  struct region *r = g->r;
  if (g->all)
    tlb_flush_region(r);
  else if (g->lo < g->hi)
    tlb_flush_range(r, r->base + g->lo, (g->hi - g->lo) / PAGE_SIZE);
  g->lo = UINT64_MAX;
  g->hi = 0;
  g->all = false;
  if (g->n_frames | g->n_tables)
    free_gathered(g);
}

/* ---- tables of its own ----------------------------------------------------------------------- */

struct table *region_dir(struct region *r, u64 off, struct gather *g) {
  unsigned i = dir_index(off);
  struct table *d = r->dirs[i], *old = NULL;
  u8 bit = (u8)(1u << i);
  r->changed |= bit;
  r->changed_since |= bit;
  if (unlikely(r->warm != NULL && r->warm->own & bit))
    region_drop_warm(r);
  if (likely(d != NULL && !table_shared(d))) {
    if (!(r->dir_entries[i] & E_W)) { /* the other sharers are gone */
      r->rewritten |= bit;
      __atomic_store_n(&r->dir_entries[i], r->dir_entries[i] | E_W, __ATOMIC_RELAXED);
    }
    return d;
  }
  if (d == NULL) {
    d = table_new(TABLE_DIR);
  } else {
    old = d;
    d = table_copy(old);
  }
  if (d == NULL)
    return NULL;
  r->dirs[i] = d;
  r->dir_entries[i] = d->at | E_TABLE;
  if (old)
    gather_replaced(g, off, old);
  return d;
}

static void enter_pages(struct table *d, unsigned i, const struct table *t) {
  table_set(d, i, t->at | E_TABLE);
}

struct table *region_pages(struct region *r, u64 off, struct gather *g) {
  struct table *d = region_dir(r, off, g);
  unsigned i = table_index(off);
  if (d == NULL)
    return NULL;
  u64 e = d->e[i];
  if (!(e & E_P)) {
    struct table *t = table_new(TABLE_PAGES);
    if (t == NULL)
      return NULL;
    t->fill = e;
    enter_pages(d, i, t);
    return t;
  }
  struct table *old = table_of(e);
  if (!table_shared(old)) {
    d->e[i] = e | E_W;
    return old;
  }
  struct table *t = table_copy(old);
  if (t == NULL)
    return NULL;
  enter_pages(d, i, t);
  gather_replaced(g, off, old);
  return t;
}

u64 region_entry(const struct region *r, u64 off, bool *writable) {
  const struct table *d = r->dirs[dir_index(off)];
  *writable = false;
  if (d == NULL)
    return 0;
  u64 e = table_load(d, table_index(off));
  if (!(e & E_P))
    return e;
  u64 page = table_entry(table_of(e), page_index(off));
  *writable = r->dir_entries[dir_index(off)] & e & page & E_W;
  return page;
}
