/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "plat/hosted/test/page_model.h"
#include "plat/hosted/test/support.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#define RW (REGION_READ | REGION_WRITE)

struct page_model model;
u64 model_turn, model_holes, model_compared;

static const struct model_range *ranges;
static u32 pages; /* of all ranges */

_Noreturn void model_fail(const char *what, u32 page) {
  printf("FAIL %s: page %u in round %lu\n", what, page, (unsigned long)model_turn);
  exit(1);
}

static u32 size_of(u32 n) { return n * (u32)PAGE_SIZE; }

/* The range of a page, whose number there comes out. */
static const struct model_range *range_of(u32 *page) {
  const struct model_range *g = ranges;
  for (; *page >= g->pages; g++)
    *page -= g->pages;
  return g;
}

static bool begins_range(u32 page) {
  range_of(&page);
  return page == 0;
}

u32 model_offset(u32 page) {
  const struct model_range *g = range_of(&page);
  return g->lo + size_of(page);
}

static u64 *word(struct region *r, u32 page) { return (u64 *)region_ptr(r, model_offset(page)); }

static bool readable(struct region *r, u32 page, u64 *first) {
  struct iovec local = {first, 8}, remote = {word(r, page), 8};
  return process_vm_readv(getpid(), &local, 1, &remote, 1, 0) == 8;
}

void model_check(struct region *r, const struct page_model *m, const char *who) {
  for (u32 i = 0; i < pages; i++) {
    u64 first = 0;
    bool can = readable(r, i, &first);
    if (can != m->mapped[i])
      model_fail(can ? "a hole can be read" : "a page cannot be read", i);
    if (can && (first != m->want[i] || word(r, i)[511] != m->want[i]))
      model_fail(who, i);
    model_holes += !can;
    model_compared++;
  }
}

void model_check_some(struct region *r, u32 page, u32 n, const char *who) {
  for (u32 i = page; i < page + n; i++)
    if (model.mapped[i] && (word(r, i)[0] != model.want[i] || word(r, i)[511] != model.want[i]))
      model_fail(who, i);
}

static void become(u32 page, u32 n, bool mapped) {
  memset(model.want + page, 0, n * sizeof(*model.want));
  memset(model.mapped + page, mapped, n);
}

void model_map(struct region *r, u32 page, u32 n) {
  u32 in_range = page;
  if (region_map(r, model_offset(page), size_of(n), RW, range_of(&in_range)->class))
    model_fail("map", page);
  become(page, n, true);
}

void model_unmap(struct region *r, u32 page, u32 n) {
  if (region_unmap(r, model_offset(page), size_of(n), false))
    model_fail("unmap", page);
  become(page, n, false);
}

static void discard(struct region *r, u32 page, u32 n) {
  if (region_discard(r, model_offset(page), size_of(n)))
    model_fail("discard", page);
  memset(model.want + page, 0, n * sizeof(*model.want));
}

static void protect_and_back(struct region *r, u32 page, u32 n) {
  model_map(r, page, n);
  if (region_protect(r, model_offset(page), size_of(n), 0) ||
      region_protect(r, model_offset(page), size_of(n), RW))
    model_fail("protect", page);
}

void model_write(struct region *r, u32 page, u64 value) {
  if (!model.mapped[page])
    return;
  word(r, page)[0] = word(r, page)[511] = value;
  model.want[page] = value;
}

void model_change(struct region *r, u32 page, u32 n) {
  u32 top = ranges->pages;
  switch (below(6)) {
  case 0:
    model_map(r, page, n);
    break;
  case 1:
    model_unmap(r, page, n);
    break;
  case 2: /* the top moves down and up */
    model_unmap(r, top - n, n);
    if (chance(50))
      model_map(r, top - n, n);
    break;
  case 3:
    discard(r, page, n);
    break;
  case 4:
    protect_and_back(r, page, n);
    break;
  default:
    for (u32 i = 0; i < n; i++)
      model_write(r, page + i, (model_turn << 16) + i + 1);
  }
}

void model_fill_holes(struct region *r, u32 percent) {
  for (u32 i = 0, end; i < pages; i = end) {
    end = i + 1;
    if (model.mapped[i])
      continue;
    while (end < pages && !model.mapped[end] && !begins_range(end))
      end++;
    if (chance(percent))
      model_map(r, i, end - i);
  }
}

void model_begin(struct region *r, const struct model_range *all, u32 n) {
  ranges = all;
  pages = 0;
  memset(&model, 0, sizeof(model));
  for (u32 i = 0; i < n; i++) {
    pages += all[i].pages;
    if (pages > MODEL_PAGES_MAX)
      model_fail("too many pages", pages);
    model_map(r, pages - all[i].pages, all[i].pages);
  }
}
