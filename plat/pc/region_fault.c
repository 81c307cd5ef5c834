/* SPDX-License-Identifier: MIT */
/* First touch and copy-on-write. */
#include "plat/pc/memobj.h"
#include "plat/pc/region.h"

#define AROUND 16u /* pages of an object that one fault maps if they are there */

static u64 writable_page(paddr p, u64 old) { return p | (old & E_KIND) | E_PAGE | E_FRAME | E_W; }

static enum fault_result read_private(struct table *t, u64 off, u64 e) {
  table_set(t, page_index(off), frame_of_zeros() | (e & E_KIND) | E_PAGE);
  return FAULT_DONE;
}

static enum fault_result first_write(struct table *t, u64 off, u64 e, struct gather *g) {
  paddr p = frame_alloc_zeroed();
  if (p == 0)
    return FAULT_NO_MEMORY;
  table_set(t, page_index(off), writable_page(p, e));
  if (e & E_P) /* the frame of zeros was there */
    gather_page(g, off);
  return FAULT_DONE;
}

static void learn(struct region *r, u64 off) {
  if (r->learn == 0)
    return;
  r->learn--;
  if (r->hot)
    hotset_note(r->hot, (u32)(off >> PAGE_SHIFT));
}

/* A frame that others may have as well. */
static enum fault_result write_shared(struct region *r, struct table *t, u64 off, u64 e,
                                      struct gather *g) {
  paddr old = e & E_ADDR;
  if (frame_refs(old) == 1) {
    t->e[page_index(off)] = e | E_W;
    /* A copy ahead costs less than this fault, too, if there are only some. */
    if (r->learn > LEARN_FAULTS - LEARN_RETURNS)
      learn(r, off);
    return FAULT_DONE;
  }
  paddr p = frame_alloc();
  if (p == 0)
    return FAULT_NO_MEMORY;
  page_copy(p, old);
  t->e[page_index(off)] = writable_page(p, e);
  gather_frame(g, off, old);
  learn(r, off);
  return FAULT_DONE;
}

/* ---- objects --------------------------------------------------------------------------------- */

static u64 object_page(paddr p, u64 e) {
  return p | (e & E_KIND) | E_PAGE | E_FRAME | (e & E_MAY_W ? E_W : 0);
}

/* Maps pages of the same mapping near off that the object has already. */
static void map_around(struct table *t, u64 off, const struct objmap *m) {
  u32 from = (u32)(round_down(off, AROUND * PAGE_SIZE) >> PAGE_SHIFT);
  for (u32 page = from; page < from + AROUND; page++) {
    unsigned i = page % TABLE_ENTRIES;
    u64 e = table_entry(t, i);
    if (page < m->page || page >= m->end || e & E_FRAME || !(e & E_OBJECT) || !(e & E_MAY_R))
      continue;
    paddr p = memobj_frame(m->o, m->first + (page - m->page), false);
    if (p)
      table_set(t, i, object_page(p, e));
  }
}

static enum fault_result object_fault(struct region *r, struct table *t, u64 off, u64 e) {
  u32 page = (u32)(off >> PAGE_SHIFT);
  if (e & E_FRAME) {
    t->e[page_index(off)] = e | E_W;
    return FAULT_DONE;
  }
  const struct objmap *m = objmaps_find(r->objs, page);
  u64 index = m ? m->first + (page - m->page) : 0;
  paddr p = m ? memobj_frame(m->o, index, true) : 0;
  if (p == 0)
    return m && memobj_has(m->o, index) ? FAULT_NO_MEMORY : FAULT_REFUSED;
  table_set(t, page_index(off), object_page(p, e));
  map_around(t, off, m);
  return FAULT_DONE;
}

/* ---------------------------------------------------------------------------------------------- */

static enum fault_result fault_locked(struct region *r, u64 off, bool write, struct gather *g) {
  bool writable;
  u64 e = region_entry(r, off, &writable);
  if (!(e & (write ? E_MAY_W : E_MAY_R)))
    return FAULT_REFUSED;
  if (e & E_P && (!write || writable)) {
    gather_page(g, off); /* another thread was faster, or this CPU's TLB is behind */
    return FAULT_DONE;
  }
  struct table *t = region_pages(r, off, g);
  if (t == NULL)
    return FAULT_NO_MEMORY;
  e = table_entry(t, page_index(off));
  if (e & E_P && (!write || e & E_W))
    return FAULT_DONE; /* the tables were shared, the page is not */
  if (e & E_OBJECT)
    return object_fault(r, t, off, e);
  if (e & E_FRAME)
    return write_shared(r, t, off, e, g);
  return write ? first_write(t, off, e, g) : read_private(t, off, e);
}

enum fault_result region_touch(struct region *r, u32 off, bool write) {
  struct gather g;
  gather_init(&g, r);
  spin_lock(&r->lock);
  enum fault_result result = fault_locked(r, off & (u32)PAGE_MASK, write, &g);
  gather_flush(&g);
  spin_unlock(&r->lock);
  return result;
}

bool region_fault(struct region *r, u32 off, bool write) {
  return region_touch(r, off, write) == FAULT_DONE;
}

bool region_allows(struct region *r, u64 off, bool write) {
  bool writable;
  spin_lock(&r->lock);
  u64 e = off < UF_REGION_SIZE ? region_entry(r, (u32)off & (u32)PAGE_MASK, &writable) : 0;
  spin_unlock(&r->lock);
  return e & (write ? E_MAY_W : E_MAY_R);
}
