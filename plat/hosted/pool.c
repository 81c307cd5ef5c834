/* SPDX-License-Identifier: MIT */
/*
 * Warm regions: address space and frames of dead µprocesses, kept for the next one of the same
 * program. Last in, first out, so that the frames are in the CPU's caches; the oldest leave first.
 */
#include "plat/hosted/seg.h"

#define BUCKETS 64
#define POOL_MAX 256
#define POOL_PAGES_MAX (64u << 20 >> PAGE_SHIFT)

static struct spin lock;
static struct list buckets[BUCKETS];
static struct list lru = LIST_INIT(lru); /* oldest first */
static u32 count, pages;

static u32 pages_of_region(const struct region *r) { return r->anon_pages + r->kept_pages; }

static struct list *bucket_of(u64 group) {
  struct list *b = &buckets[group % BUCKETS];
  if (!b->next)
    list_init(b);
  return b;
}

static void unlink_region(struct region *r) {
  list_remove(&r->node);
  list_remove(&r->lru_node);
  count--;
  pages -= pages_of_region(r);
}

struct region *pool_take(u64 group) {
  struct region *found = NULL, *r;
  spin_lock(&lock);
  list_for_each(r, bucket_of(group), node) {
    if (r->group != group)
      continue;
    found = r;
    unlink_region(r);
    break;
  }
  spin_unlock(&lock);
  if (found)
    found->dying = false;
  return found;
}

static struct region *pop_oldest(bool force) {
  struct region *r = NULL;
  spin_lock(&lock);
  if (!list_empty(&lru) && (force || count > POOL_MAX || pages > POOL_PAGES_MAX)) {
    r = list_first(&lru, struct region, lru_node);
    unlink_region(r);
  }
  spin_unlock(&lock);
  return r;
}

void pool_put(struct region *r) {
  r->warm = true;
  spin_lock(&lock);
  list_push_front(bucket_of(r->group), &r->node);
  list_push_back(&lru, &r->lru_node);
  count++;
  pages += pages_of_region(r);
  spin_unlock(&lock);
  while ((r = pop_oldest(false)) != NULL)
    region_free(r);
}

u32 pool_count(void) { return __atomic_load_n(&count, __ATOMIC_RELAXED); }

void pool_drain(void) {
  struct region *r;
  while ((r = pop_oldest(true)) != NULL)
    region_free(r);
}

unsigned region_count(void) {
  spin_lock(&lock);
  unsigned n = slots_in_use() - count - stand_ins();
  spin_unlock(&lock);
  return n;
}

void region_trim(void) { pool_drain(); }

static bool maps(const struct region *r, const struct seg *s) {
  for (u32 i = 0; i < r->n_segs; i++)
    if (r->segs[i] == s)
      return true;
  return false;
}

static struct region *pop_mapping(const struct seg *s) {
  struct region *found = NULL, *r;
  spin_lock(&lock);
  list_for_each(r, &lru, lru_node) {
    if (!maps(r, s))
      continue;
    found = r;
    unlink_region(r);
    break;
  }
  spin_unlock(&lock);
  return found;
}

void pool_forget(const struct seg *s) {
  struct region *r;
  while ((r = pop_mapping(s)) != NULL)
    region_free(r);
}
