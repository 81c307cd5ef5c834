/* SPDX-License-Identifier: MIT */
#include "plat/pc/hotset.h"
#include "kernel/mm/kmalloc.h"
#include "lib/string.h"
#include "plat/pc/region.h"

#define SCORE_NEW 2u
#define SCORE_MAX 4u
#define SETS_MAX 64u /* more are kept only while they are used */

static struct spin lock; /* the list and its length; references from 0 to 1 */
static struct list all = LIST_INIT(all);
static u32 sets;

/* ---- life ------------------------------------------------------------------------------------ */

static struct hotset *find(u64 group) {
  struct hotset *h;
  list_for_each(h, &all, node) {
    if (h->group == group)
      return h;
  }
  return NULL;
}

/* A set that exists, which becomes the youngest, or NULL. */
static struct hotset *find_and_use(u64 group) {
  spin_lock(&lock);
  struct hotset *h = find(group);
  if (h) {
    hotset_share(h);
    list_remove(&h->node);
    list_push_back(&all, &h->node);
  }
  spin_unlock(&lock);
  return h;
}

/* Frees the oldest unused sets while there are more than `keep` in all. */
static void trim(u32 keep) {
  struct hotset *h, *next;
  struct list gone = LIST_INIT(gone);
  spin_lock(&lock);
  list_for_each_safe(h, next, &all, node) {
    if (sets <= keep)
      break;
    if (__atomic_load_n(&h->refs, __ATOMIC_ACQUIRE) != 0)
      continue;
    list_remove(&h->node);
    list_push_back(&gone, &h->node);
    sets--;
  }
  spin_unlock(&lock);
  list_for_each_safe(h, next, &gone, node) kfree(h);
}

struct hotset *hotset_of(u64 group) {
  struct hotset *h = find_and_use(group);
  if (h)
    return h;
  trim(SETS_MAX - 1);
  h = kzalloc(sizeof(*h));
  if (h == NULL)
    return NULL;
  h->group = group;
  h->refs = 1;
  spin_lock(&lock);
  list_push_back(&all, &h->node); /* two of one group at worst: the first is found */
  sets++;
  spin_unlock(&lock);
  return h;
}

struct hotset *hotset_share(struct hotset *h) {
  if (h)
    __atomic_add_fetch(&h->refs, 1, __ATOMIC_RELAXED);
  return h;
}

void hotset_put(struct hotset *h) {
  if (h)
    __atomic_sub_fetch(&h->refs, 1, __ATOMIC_ACQ_REL);
}

void hotsets_drain(void) { trim(0); }

/* ---- pages ----------------------------------------------------------------------------------- */

static u32 position(const struct hotset *h, u32 page) {
  u32 lo = 0, hi = h->n;
  while (lo < hi) {
    u32 mid = (lo + hi) / 2;
    if (h->pages[mid] < page)
      lo = mid + 1;
    else
      hi = mid;
  }
  return lo;
}

static void remove_at(struct hotset *h, u32 i) {
  u32 rest = h->n - i - 1;
  memmove(&h->pages[i], &h->pages[i + 1], rest * sizeof(h->pages[0]));
  memmove(&h->score[i], &h->score[i + 1], rest * sizeof(h->score[0]));
  h->n--;
}

static void insert_at(struct hotset *h, u32 i, u32 page) {
  u32 rest = h->n - i;
  memmove(&h->pages[i + 1], &h->pages[i], rest * sizeof(h->pages[0]));
  memmove(&h->score[i + 1], &h->score[i], rest * sizeof(h->score[0]));
  h->pages[i] = page;
  h->score[i] = SCORE_NEW;
  h->n++;
}

void hotset_note(struct hotset *h, u32 page) {
  spin_lock(&h->lock);
  u32 i = position(h, page);
  if (i < h->n && h->pages[i] == page)
    h->score[i] = SCORE_MAX;
  else if (h->n < HOT_PAGES_MAX)
    insert_at(h, i, page);
  spin_unlock(&h->lock);
}

void hotset_feedback(struct hotset *h, const struct region *r) {
  bool writable;
  spin_lock(&h->lock);
  for (u32 i = 0; i < h->n; i++) {
    u64 e = region_entry(r, (u64)h->pages[i] << PAGE_SHIFT, &writable);
    if (!(e & E_EAGER))
      continue;
    if (e & E_D)
      h->score[i] = SCORE_MAX;
    else if (--h->score[i] == 0)
      remove_at(h, i--);
  }
  spin_unlock(&h->lock);
}

u32 hotset_read(struct hotset *h, u32 *pages) {
  spin_lock(&h->lock);
  u32 n = h->n;
  memcpy(pages, h->pages, n * sizeof(pages[0]));
  spin_unlock(&h->lock);
  return n;
}
