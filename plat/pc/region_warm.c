/* SPDX-License-Identifier: MIT */
/*
 * Warm children. When the child that a region forked last dies and neither has changed its page
 * tables since, the dead child's are what the next fork would make: they are kept, with the copies
 * of hot pages, and the next fork only fills these copies anew. Directories that were shared as a
 * whole are given back meanwhile, and shared again then; whatever the parent changes in them does
 * not matter. A change of the parent anywhere else takes the warm child apart.
 *
 * Its translations in TLBs stay true, since its entries do, but for the shared directories: if the
 * parent has changed one of these, the base gets a new TLB generation, as after a death.
 *
 * A dying child also gives its parent write permission back: for a shared directory, if it was the
 * last other holder, and if the parent had to get it by a fault the last time; and for some pages
 * beside the hot ones. So what a parent writes only while it has no child is neither copied nor
 * costs it faults.
 */
#include "plat/pc/region.h"

#define WARM_MAX 64u
/* After so many lives a child is taken apart for good, which tells what of the hot set is needed:
   soon the first time, when what has been learned is fresh, and twice as late each time. */
#define LIVES_FIRST 8u
#define LIVES_DOUBLED 5u

/* Who is whose child, and the list. Taken inside a region's lock; the other way round only tried.
 */
static struct spin kin_lock;
static struct list warm = LIST_INIT(warm); /* the oldest first */
static u32 n_warm;

u32 regions_warm(void) { return __atomic_load_n(&n_warm, __ATOMIC_RELAXED); }

/* ---- with kin_lock held ---------------------------------------------------------------------- */

/* c, warm, belongs to nobody any more. */
static void unlink_warm(struct region *p, struct region *c) {
  p->warm = c->kin = NULL;
  list_remove(&c->warm_node);
  __atomic_store_n(&n_warm, n_warm - 1, __ATOMIC_RELAXED);
}

/* Unlinks the warm child of a region whose lock is free, the oldest first; NULL: there is none. */
static struct region *unlink_oldest(void) {
  struct region *c;
  list_for_each(c, &warm, warm_node) {
    struct region *p = c->kin;
    if (!spin_trylock(&p->lock))
      continue;
    unlink_warm(p, c);
    spin_unlock(&p->lock);
    return c;
  }
  return NULL;
}

/* Gives the directories back that c shares with p. false: p has another one by now. */
static bool give_back(struct region *p, struct region *c) {
  bool same = true;
#pragma GCC unroll 4
  for (unsigned i = 0; i < REGION_DIRS; i++) {
    struct table *d = c->dirs[i];
    if (d == NULL || c->own >> i & 1)
      continue;
    if (p->dirs[i] != d) {
      same = false;
      continue;
    }
    c->dir_entries[i] = 0;
    c->dirs[i] = NULL;
    table_put(d);
    if (p->rewritten >> i & 1 && !table_shared(d))
      __atomic_store_n(&p->dir_entries[i], p->dir_entries[i] | E_W, __ATOMIC_RELAXED);
  }
  return same;
}

static bool is_worn_out(struct region *p, struct region *c) {
  if (++c->lives < LIVES_FIRST << p->rebuilt)
    return false;
  p->rebuilt += p->rebuilt < LIVES_DOUBLED;
  return true;
}

/* Neither region's tables have changed since the fork, so that nobody else has these pages. c keeps
   its references, but does not run. */
static void give_pages_back(struct region *c) {
  for (u32 n = 0; n < c->n_lent; n++) {
    u64 *e = &c->lent[n].of_parent->e[c->lent[n].i];
    __atomic_store_n(e, *e | E_W, __ATOMIC_RELAXED);
  }
}

/* c, the last child of its parent, dies: true if it becomes the parent's warm one. */
static bool keep(struct region *c) {
  struct region *p = c->kin;
  c->kin = p->child = NULL;
  if (!spin_trylock(&p->lock))
    return false;
  bool same = give_back(p, c) && c->changed == 0 && (p->changed_since & c->own) == 0;
  if (same)
    give_pages_back(c);
  bool kept = same && c->n_eager <= REGION_EAGER && n_warm < WARM_MAX && !is_worn_out(p, c);
  if (kept) {
    c->kin = p;
    p->warm = c;
    list_push_back(&warm, &c->warm_node);
    __atomic_store_n(&n_warm, n_warm + 1, __ATOMIC_RELAXED);
  }
  spin_unlock(&p->lock);
  return kept;
}

/* ---------------------------------------------------------------------------------------------- */

void region_destroy(struct region *r) {
  struct region *child = NULL, *old = NULL;
  spin_lock(&kin_lock);
  if (unlikely(r->child != NULL)) {
    r->child->kin = NULL;
    r->child = NULL;
  }
  if (unlikely(r->warm != NULL)) {
    child = r->warm;
    unlink_warm(r, child);
  }
  if (unlikely(n_warm == WARM_MAX))
    old = unlink_oldest();
  bool kept = r->kin && keep(r);
  spin_unlock(&kin_lock);
  if (!kept)
    region_take_apart(r);
  if (unlikely(child != NULL))
    region_take_apart(child);
  if (unlikely(old != NULL))
    region_take_apart(old);
}

void region_trim(void) {
  struct region *c;
  do {
    spin_lock(&kin_lock);
    c = unlink_oldest();
    spin_unlock(&kin_lock);
    if (c)
      region_take_apart(c);
  } while (c);
}

/* ---- with the parent's lock held ------------------------------------------------------------- */

void region_drop_warm(struct region *p) {
  struct region *c = p->warm;
  spin_lock(&kin_lock);
  unlink_warm(p, c);
  spin_unlock(&kin_lock);
  region_take_apart(c);
}

void region_set_child(struct region *p, struct region *c) {
  spin_lock(&kin_lock);
  if (p->warm)
    unlink_warm(p, c);
  if (unlikely(p->child != NULL))
    p->child->kin = NULL;
  p->child = c;
  c->kin = p;
  spin_unlock(&kin_lock);
  p->changed = REGION_ALL_DIRS;
  p->changed_since = c->changed = 0;
}

struct region *region_warm_child(struct region *p, u32 sp_page, u32 dead_lo, u32 n_dead) {
  struct region *c = p->warm;
  if (c == NULL)
    return NULL;
  if (c->sp_page != sp_page || c->dead_lo != dead_lo || c->n_dead != n_dead) {
    region_drop_warm(p);
    return NULL;
  }
  pages_copy(c->eager, c->n_eager);
  if (p->changed_since && c->tlb->ran)
    c->tlb->need = tlb_new_generation();
  return c;
}
