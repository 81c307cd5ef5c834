/* SPDX-License-Identifier: MIT */
#include "plat/pc/test/audit.h"
#include <stdio.h>
#include <string.h>

#define FRAMES_MAX (1u << 18)

/* By frame number: references found; for tables, whether they have been walked. */
static u32 found[FRAMES_MAX];
static bool walked[FRAMES_MAX];
static u32 lent[FRAMES_MAX]; /* references of dead children to what their parents may write */
static u64 distinct;
static char problem[160];

#define wrong(...) (snprintf(problem, sizeof(problem), __VA_ARGS__), problem)

static bool count(paddr p) {
  u32 f = (u32)(p >> PAGE_SHIFT);
  distinct += found[f]++ == 0;
  return found[f] == 1;
}

static const char *audit_map(const struct table *t) {
  unsigned frames = 0;
  for (unsigned i = 0; i < TABLE_ENTRIES; i++) {
    frames += t->level == TABLE_PAGES && t->e[i] & E_FRAME;
    if ((t->used[i / 64] >> i % 64 & 1) != (t->e[i] != 0))
      return wrong("map of used entries: entry %u is %lx", i, (unsigned long)t->e[i]);
    if (t->e[i] != 0 && !(t->words >> i / 64 & 1))
      return wrong("map of used words: entry %u is %lx", i, (unsigned long)t->e[i]);
  }
  return frames == t->frames ? NULL : wrong("%u frames, counted %u", t->frames, frames);
}

static const char *audit_page(u64 e) {
  if (e & E_FRAME)
    count(e & E_ADDR);
  if (e & E_W && !(e & E_MAY_W))
    return wrong("writable against its protection: %lx", (unsigned long)e);
  if (e & E_P && !(e & E_MAY_R))
    return wrong("present against its protection: %lx", (unsigned long)e);
  if (e & E_P && !(e & E_FRAME) && ((e & E_ADDR) != frame_of_zeros() || e & E_W))
    return wrong("no frame: %lx", (unsigned long)e);
  if (e && !(e & (E_MAPPED | E_HOLE)))
    return wrong("strange entry %lx", (unsigned long)e);
  return NULL;
}

static const char *audit_pages(const struct table *t) {
  const char *bad = audit_map(t);
  for (unsigned i = 0; i < TABLE_ENTRIES && !bad; i++)
    bad = audit_page(t->e[i]);
  return bad;
}

/* A reference to t from an entry that has the write bit or not. */
static const char *audit_table(const struct table *t, bool writable) {
  if (t->refs > 1 && writable)
    return wrong("shared table, writable from above");
  if (!count(t->at))
    return NULL;
  if (t->level == TABLE_PAGES)
    return audit_pages(t);
  const char *bad = audit_map(t);
  for (unsigned i = 0; i < TABLE_ENTRIES && !bad; i++)
    if (t->e[i] & E_P)
      bad = audit_table(table_of(t->e[i]), t->e[i] & E_W);
  return bad;
}

static void count_object(paddr at, unsigned level) {
  if (at == 0)
    return;
  count(at);
  for (unsigned i = 0; level > 0 && i < 512; i++)
    count_object(((u64 *)phys_ptr(at))[i], level - 1);
}

/* A dead child that is kept warm holds frames that its parent may write (region_warm.c). */
static void count_lent(const struct region *r) {
  if (r->kin == NULL || r->kin->warm != r)
    return;
  for (unsigned i = 0; i < r->n_lent; i++)
    lent[(r->lent[i].of_parent->e[r->lent[i].i] & E_ADDR) >> PAGE_SHIFT]++;
}

/* Now that all references are counted. */
static const char *audit_write_bits(const struct table *t) {
  for (unsigned i = 0; i < TABLE_ENTRIES; i++) {
    u64 e = t->e[i];
    if (e & E_FRAME && e & E_W && !(e & E_OBJECT) &&
        found[(e & E_ADDR) >> PAGE_SHIFT] > 1U + lent[(e & E_ADDR) >> PAGE_SHIFT])
      return wrong("shared frame, writable: %lx", (unsigned long)e);
  }
  return NULL;
}

static const char *audit_refs_below(const struct table *t) {
  u32 f = (u32)(t->at >> PAGE_SHIFT);
  const char *bad = NULL;
  if (walked[f])
    return NULL;
  walked[f] = true;
  if (t->refs != found[f])
    return wrong("table has %u references, counted %u", t->refs, found[f]);
  if (t->level == TABLE_PAGES)
    bad = audit_write_bits(t);
  for (unsigned i = 0; i < TABLE_ENTRIES && !bad; i++) {
    u64 e = t->e[i];
    if (t->level == TABLE_DIR && e & E_P)
      bad = audit_refs_below(table_of(e));
    else if (e & E_FRAME && frame_refs(e & E_ADDR) != found[(e & E_ADDR) >> PAGE_SHIFT])
      bad = wrong("frame has %u references, counted %u", frame_refs(e & E_ADDR),
                  found[(e & E_ADDR) >> PAGE_SHIFT]);
  }
  return bad;
}

static const char *audit_region(const struct region *r) {
  const char *bad = NULL;
  for (unsigned i = 0; i < REGION_DIRS && !bad; i++) {
    u64 e = r->dir_entries[i];
    if (!r->dirs[i] != !e || (e && (e & E_ADDR) != r->dirs[i]->at))
      bad = wrong("directory %u is not what the page table has", i);
    else if (r->dirs[i])
      bad = audit_table(r->dirs[i], e & E_W);
  }
  return bad;
}

u64 audit_upper_frames(void) {
  const u64 *root = phys_ptr(pagetable_root());
  u64 n = 1;
  for (unsigned i = 0; i < 512; i++)
    n += root[i] != 0;
  return n;
}

const char *audit(const struct audit_set *s) {
  const char *bad = NULL;
  memset(found, 0, sizeof(found));
  memset(walked, 0, sizeof(walked));
  memset(lent, 0, sizeof(lent));
  distinct = 0;
  for (unsigned i = 0; i < s->n_objects; i++)
    count_object(s->objects[i]->root, s->objects[i]->height);
  for (unsigned i = 0; i < s->n_regions && !bad; i++)
    bad = audit_region(s->regions[i]);
  for (unsigned i = 0; i < s->n_regions; i++)
    count_lent(s->regions[i]);
  for (unsigned i = 0; i < s->n_regions && !bad; i++)
    for (unsigned d = 0; d < REGION_DIRS && !bad; d++)
      if (s->regions[i]->dirs[d])
        bad = audit_refs_below(s->regions[i]->dirs[d]);
  u64 used = frames_used() / PAGE_SIZE - tables_spare() - audit_upper_frames();
  if (!bad && used != distinct)
    bad = wrong("%lu frames in use, %lu are known", (unsigned long)used, (unsigned long)distinct);
  return bad;
}
