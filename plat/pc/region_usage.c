/* SPDX-License-Identifier: MIT */
/* How much memory a region has, and how much of it alone. */
#include "kernel/mm/kmalloc.h"
#include "plat/pc/region.h"

/* A table that is the region's alone. */
static void count_table(const struct table *t, struct region_usage *u) {
  u->table_bytes += PAGE_SIZE;
  u->record_bytes += kmalloc_size(t);
}

/* Entries [first, end). `shared`: some table above is. */
static void count_pages(const struct table *t, unsigned first, unsigned end, bool shared,
                        struct region_usage *u) {
  bool own = !shared && !table_shared(t);
  if (own)
    count_table(t, u);
  else if (first == 0 && end == TABLE_ENTRIES) { /* its frames need not be looked at */
    u->shared_bytes += (u64)t->frames * PAGE_SIZE;
    return;
  }
  for (unsigned i = table_next(t, first); i < end; i = table_next(t, i + 1)) {
    u64 e = table_load(t, i);
    bool alone = own && !(e & E_OBJECT) && frame_refs(e & E_ADDR) == 1;
    if (e & E_FRAME)
      *(alone ? &u->private_bytes : &u->shared_bytes) += PAGE_SIZE;
  }
}

static void count_dir(const struct table *d, u64 off, u64 end, struct region_usage *u) {
  bool shared = table_shared(d);
  if (!shared)
    count_table(d, u);
  for (u64 next; off < end; off = next) {
    unsigned i = table_next(d, table_index(off));
    if (i == TABLE_ENTRIES)
      return;
    if (i != table_index(off))
      off = round_down(off, DIR_SPAN) + i * TABLE_SPAN;
    next = round_down(off, TABLE_SPAN) + TABLE_SPAN;
    u64 e = table_load(d, i);
    if (off < end && e & E_P)
      count_pages(table_of(e), page_index(off), end < next ? page_index(end) : TABLE_ENTRIES,
                  shared, u);
  }
}

static void count(struct region *r, u64 off, u64 end, struct region_usage *u) {
  spin_lock(&r->lock);
  if (r->warm) /* it counts frames as its own, too */
    region_drop_warm(r);
  for (u64 next; off < end; off = next) {
    next = min_u64(round_down(off, DIR_SPAN) + DIR_SPAN, end);
    if (r->dirs[dir_index(off)])
      count_dir(r->dirs[dir_index(off)], off, next, u);
  }
  spin_unlock(&r->lock);
}

void region_usage(struct region *r, struct region_usage *u) {
  *u = (struct region_usage){.record_bytes = kmalloc_size(r)};
  count(r, 0, UF_REGION_SIZE, u);
}

void region_usage_of(struct region *r, u64 off, u64 end, struct region_usage *u) {
  *u = (struct region_usage){0};
  count(r, off, end, u);
  u->record_bytes = u->table_bytes = 0;
}
