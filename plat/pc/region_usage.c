/* SPDX-License-Identifier: MIT */
/* How much memory a region has, and how much of it alone. */
#include "kernel/mm/kmalloc.h"
#include "plat/pc/region.h"

/* A table that is the region's alone. */
static void count_table(const struct table *t, struct region_usage *u) {
  u->table_bytes += PAGE_SIZE;
  u->record_bytes += kmalloc_size(t);
}

/* `shared`: some table above is. Its frames are not looked at then. */
static void count_pages(const struct table *t, bool shared, struct region_usage *u) {
  u64 alone = 0;
  if (!shared && !table_shared(t)) {
    count_table(t, u);
    table_each(i, t) {
      u64 e = table_load(t, i);
      alone += e & E_FRAME && !(e & E_OBJECT) && frame_refs(e & E_ADDR) == 1;
    }
  }
  u->private_bytes += alone * PAGE_SIZE;
  u->shared_bytes += (t->frames - alone) * PAGE_SIZE;
}

static void count_dir(const struct table *d, struct region_usage *u) {
  bool shared = table_shared(d);
  if (!shared)
    count_table(d, u);
  table_each(i, d) {
    u64 e = table_load(d, i);
    if (e & E_P)
      count_pages(table_of(e), shared, u);
  }
}

void region_usage(struct region *r, struct region_usage *u) {
  *u = (struct region_usage){.record_bytes = kmalloc_size(r)};
  spin_lock(&r->lock);
  if (r->warm) /* it counts frames as its own, too */
    region_drop_warm(r);
  for (unsigned i = 0; i < REGION_DIRS; i++)
    if (r->dirs[i])
      count_dir(r->dirs[i], u);
  spin_unlock(&r->lock);
}
