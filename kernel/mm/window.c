/* SPDX-License-Identifier: MIT */
/* Who has which part of the text window: a sorted array of ranges in use. */
#include "kernel/kassert.h"
#include "kernel/mm/image_internal.h"
#include "kernel/mm/kmalloc.h"
#include "lib/string.h"

struct range {
  u32 lo, hi;
};

static struct spin window_lock;
static struct range *used;
static u32 nused, cap;

/* Hole i lies before range i; the last one ends with the window. */
static struct range hole(u32 i) {
  struct range h = {i == 0 ? UF_WINDOW_LO : used[i - 1].hi, i == nused ? UF_WINDOW_HI : used[i].lo};
  return h;
}

/* Page-aligned places for size bytes in a hole. */
static u64 places(struct range h, u32 size) {
  return h.hi - h.lo < size ? 0 : (h.hi - h.lo - size) / PAGE_SIZE + 1;
}

static bool make_room(void) {
  if (nused < cap)
    return true;
  u32 n = cap ? cap * 2 : 16;
  struct range *r = krealloc(used, n * sizeof *r);
  if (r == NULL)
    return false;
  used = r;
  cap = n;
  return true;
}

static void insert(u32 i, u32 lo, u32 hi) {
  memmove(&used[i + 1], &used[i], (nused - i) * sizeof *used);
  used[i] = (struct range){lo, hi};
  nused++;
}

static u32 alloc_locked(u32 size, u64 random) {
  u64 total = 0;
  for (u32 i = 0; i <= nused; i++)
    total += places(hole(i), size);
  if (total == 0 || !make_room())
    return 0;
  u64 pick = random % total;
  u32 i = 0;
  for (u64 n; pick >= (n = places(hole(i), size)); i++)
    pick -= n;
  u32 lo = hole(i).lo + (u32)(pick * PAGE_SIZE);
  insert(i, lo, lo + size);
  return lo;
}

u32 window_alloc(u32 size) {
  u64 random;
  plat_random(&random, sizeof random);
  spin_lock(&window_lock);
  u32 addr = alloc_locked(size, random);
  spin_unlock(&window_lock);
  return addr;
}

static u32 index_of(u32 addr) {
  u32 i = 0;
  while (i < nused && used[i].lo != addr)
    i++;
  kassert(i < nused);
  return i;
}

static void erase(u32 i) {
  memmove(&used[i], &used[i + 1], (nused - i - 1) * sizeof *used);
  nused--;
}

void window_free(u32 addr, u32 size) {
  spin_lock(&window_lock);
  u32 i = index_of(addr);
  kassert(used[i].hi - addr == size);
  erase(i);
  spin_unlock(&window_lock);
}

void window_retire(u32 addr, u32 size) {
  spin_lock(&window_lock);
  u32 i = index_of(addr);
  kassert(used[i].hi - addr == size);
  spin_unlock(&window_lock);
}
