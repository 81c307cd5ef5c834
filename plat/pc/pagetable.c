/* SPDX-License-Identifier: MIT */
#include "plat/pc/pagetable.h"
#include "kernel/errno.h"
#include "kernel/kassert.h"
#include "lib/spin.h"

/* Entries above the last level: rights are decided below. */
#define TABLE_RIGHTS (E_P | E_W | E_A)

static struct spin lock;
static paddr root;

paddr pagetable_root(void) { return root; }

static unsigned index_of(u64 va, unsigned level) { return va >> (3 + 9 * level) & 511; }
static u64 page_size(unsigned level) { return 1UL << (3 + 9 * level); }
static u64 *table_at(u64 entry) { return phys_ptr(entry & E_ADDR); }

static u64 *child(u64 *entry) {
  if (*entry == 0) {
    paddr p = frame_alloc_zeroed();
    if (p == 0)
      return NULL;
    *entry = p | TABLE_RIGHTS;
  }
  kassert(!(*entry & E_LARGE));
  return table_at(*entry);
}

static u64 *root_table(void) {
  if (root == 0)
    root = frame_alloc_zeroed();
  return root ? phys_ptr(root) : NULL;
}

/* The entry of `level` (1: pages of 4 KiB) for va; NULL: no memory. Level 4 is the root. */
static u64 *entry_for(u64 va, unsigned level) {
  u64 *t = root_table();
  for (unsigned l = 4; t != NULL && l > level; l--)
    t = child(&t[index_of(va, l)]);
  return t ? &t[index_of(va, level)] : NULL;
}

static unsigned best_level(u64 va, paddr pa, u64 len) {
  unsigned level = 3;
  while (level > 1 && ((va | pa) & (page_size(level) - 1) || len < page_size(level)))
    level--;
  return level;
}

static int map_locked(u64 va, paddr pa, u64 len, u64 rights) {
  while (len > 0) {
    unsigned level = best_level(va, pa, len);
    u64 *e = entry_for(va, level);
    if (e == NULL)
      return -ENOMEM;
    kassert(*e == 0);
    *e = pa | rights | (level > 1 ? E_LARGE : 0);
    va += page_size(level);
    pa += page_size(level);
    len -= page_size(level);
  }
  return 0;
}

int pagetable_map(u64 va, paddr pa, u64 len, u64 rights) {
  kassert(((va | pa | len) & (PAGE_SIZE - 1)) == 0);
  spin_lock(&lock);
  int err = map_locked(va, pa, len, rights);
  spin_unlock(&lock);
  return err;
}

/* The entry that maps va, of whatever size, or NULL. */
static u64 *find(u64 va, unsigned *level) {
  u64 *t = root_table();
  for (*level = 4; t != NULL; (*level)--) {
    u64 *e = &t[index_of(va, *level)];
    if (!(*e & E_P))
      return NULL;
    if (*level == 1 || *e & E_LARGE)
      return e;
    t = table_at(*e);
  }
  return NULL;
}

void pagetable_unmap(u64 va, u64 len) {
  spin_lock(&lock);
  for (u64 end = va + len; va < end; va += PAGE_SIZE) {
    unsigned level;
    u64 *e = find(va, &level);
    if (e == NULL)
      continue;
    kassert(level == 1);
    *e = 0;
  }
  spin_unlock(&lock);
}

u64 pagetable_lookup(u64 va, u64 *size) {
  unsigned level;
  spin_lock(&lock);
  u64 *e = find(va, &level);
  u64 found = e ? *e : 0;
  spin_unlock(&lock);
  *size = e ? page_size(level) : 0;
  return found;
}

u64 *pagetable_pdpt(u64 va) {
  spin_lock(&lock);
  u64 *e = entry_for(va, 3);
  spin_unlock(&lock);
  return e ? (u64 *)((u64)e & PAGE_MASK) : NULL;
}
