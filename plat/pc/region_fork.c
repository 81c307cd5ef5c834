/* SPDX-License-Identifier: MIT */
/*
 * fork. A directory without hot pages is shared as a whole, a GiB for one reference. Where there
 * are hot pages the child gets a directory of its own, and page tables of its own with copies of
 * these pages; the tables beside them and the other pages in them are shared one by one. So the
 * time does not depend on how much memory the parent has, and the pages that both sides are going
 * to write need no fault.
 *
 * What was writable and is shared now may be in TLBs as writable: it is flushed before the child is
 * seen by anybody. Where the write bit was clear already, since an earlier fork, there is nothing
 * to flush.
 */
#include "kernel/errno.h"
#include "kernel/mm/kmalloc.h"
#include "lib/string.h"
#include "plat/pc/reclaim.h"
#include "plat/pc/region.h"

#define RED_ZONE 128u
#define HOT_TABLES_MAX 24u
#define NO_PAGE UINT32_MAX

struct fork {
  struct region *parent, *child;
  u32 sp_page;
  u32 dead_lo, n_dead;        /* pages of the stack that need no copy */
  u32 n_hot, at;              /* hot pages; those before `at` lie lower than what is being copied */
  u32 n_tables;               /* page tables copied so far */
  bool own;                   /* nobody else has the one it is made from */
  struct gather flush;        /* of the parent */
  u32 hot[HOT_PAGES_MAX + 2]; /* ends with NO_PAGE */
};

/* ---- which pages are copied ------------------------------------------------------------------ */

static void add_hot(struct fork *f, u32 page) {
  u32 i = f->n_hot;
  while (i > 0 && f->hot[i - 1] > page)
    i--;
  if (i > 0 && f->hot[i - 1] == page)
    return;
  memmove(&f->hot[i + 1], &f->hot[i], (f->n_hot - i) * sizeof(f->hot[0]));
  f->hot[i] = page;
  f->n_hot++;
}

static void look_at_stack(struct fork *f, const struct region_fork_args *a) {
  u32 floor = a->sp > RED_ZONE ? (a->sp - RED_ZONE) >> PAGE_SHIFT : 0;
  f->sp_page = a->sp >> PAGE_SHIFT;
  f->dead_lo = f->n_dead = 0;
  if (a->stack_hi && floor > a->stack_lo >> PAGE_SHIFT && floor <= a->stack_hi >> PAGE_SHIFT) {
    f->dead_lo = a->stack_lo >> PAGE_SHIFT;
    f->n_dead = floor - f->dead_lo;
  }
}

static void choose(struct fork *f) {
  f->n_hot = f->parent->hot ? hotset_read(f->parent->hot, f->hot) : 0;
  add_hot(f, f->sp_page);
  f->hot[f->n_hot] = NO_PAGE;
  f->at = f->n_tables = 0;
}

/* Is there a hot page in [page, end)? Ranges are asked for in ascending order. */
static bool has_hot(struct fork *f, u64 page, u64 end) {
  while (f->at < f->n_hot && f->hot[f->at] < page)
    f->at++;
  return f->at < f->n_hot && f->hot[f->at] < end;
}

static bool is_dead(const struct fork *f, u32 page) { return page - f->dead_lo < f->n_dead; }

/* ---- one page -------------------------------------------------------------------------------- */

/* E_D is missing: the hardware will tell whether the copy was worth it. */
static u64 eager_page(paddr p, u64 e) {
  return p | (e & E_KIND) | E_P | E_A | E_NX | E_FRAME | E_W | E_EAGER;
}

/* For the next fork, if the child is kept. */
static void note_copy(struct region *c, paddr from, paddr to) {
  if (c->n_eager < REGION_EAGER)
    c->eager[c->n_eager] = (struct page_pair){from, to};
  c->n_eager++;
}

/* Takes write permission of a page from the parent, which may get it back when the child dies. */
static u64 lend_page(struct fork *f, struct table *t, unsigned i, u32 page) {
  struct region *c = f->child;
  if (f->own && c->n_lent < REGION_LENT)
    c->lent[c->n_lent++] = (struct lent_page){t, i, page};
  gather_page(&f->flush, (u64)page << PAGE_SHIFT);
  return table_share(t, i);
}

/* Pages that are not simply shared: the child's entry for page i of t, which is e. The parent's is
   left alone if it stays the only owner. */
static __attribute__((noinline)) u64 fork_special(struct fork *f, struct table *t, unsigned i,
                                                  u64 e, u32 page) {
  if (is_dead(f, page))
    return e & E_KIND;
  if (has_hot(f, page, page + 1UL) && e & E_P && e & E_MAY_W) {
    paddr p = frame_alloc();
    if (p) { /* without memory to spare it is shared */
      page_copy(p, e & E_ADDR);
      note_copy(f->child, e & E_ADDR, p);
      return eager_page(p, e);
    }
  }
  if (!(e & E_W)) { /* shared already */
    frame_get(e & E_ADDR);
    return e & E_EAGER ? (e & ~E_EAGER) | E_D : e;
  }
  return lend_page(f, t, i, page);
}

/* The same for any page. Most have not been touched, or are shared since an earlier fork. */
static inline __attribute__((always_inline)) u64 fork_page(struct fork *f, struct table *t,
                                                           unsigned i, u64 e, u32 page) {
  if (!(e & E_FRAME))
    return e;
  bool plain = !(e & (E_W | E_EAGER)) && f->hot[f->at] > page && !is_dead(f, page);
  if (!plain && !(e & E_OBJECT))
    return fork_special(f, t, i, e, page);
  frame_get(e & E_ADDR);
  return e;
}

/* ---- one page table -------------------------------------------------------------------------- */

/* A table for the child with copies of the hot pages; NULL: no memory. */
static __attribute__((noinline)) struct table *fork_pages(struct fork *f, struct table *t,
                                                          u32 page) {
  struct table *c = table_new(TABLE_PAGES);
  if (c == NULL)
    return NULL;
  c->fill = t->fill;
  table_each_word(w, t) {
    u64 used = 0, n_frames = 0;
    for (u64 bits = t->used[w]; bits; bits &= bits - 1) {
      unsigned i = w * 64 + (unsigned)__builtin_ctzl(bits);
      u64 e = fork_page(f, t, i, table_load(t, i), page + i);
      if (e == c->fill)
        continue;
      c->e[i] = e;
      n_frames += (e & E_FRAME) != 0;
      used |= bits & -bits;
    }
    if (used) {
      c->used[w] = used;
      c->words |= (u8)(1u << w);
      c->frames += (u16)n_frames;
    }
  }
  f->n_tables++;
  return c;
}

static u64 share_pages(struct fork *f, struct table *d, unsigned i) {
  if (table_load(d, i) & E_W)
    f->flush.all = true;
  return table_share(d, i);
}

/* The child's entry for 2 MiB of d from `page` on; 0: no memory. */
static u64 fork_dir_entry(struct fork *f, struct table *d, unsigned i, u32 page) {
  u64 e = table_load(d, i);
  if (!(e & E_P))
    return e;
  struct table *t = table_of(e);
  if (f->n_tables == HOT_TABLES_MAX || !has_hot(f, page, page + TABLE_ENTRIES))
    return share_pages(f, d, i);
  f->own = !table_shared(d) && !table_shared(t);
  struct table *c = fork_pages(f, t, page);
  return c ? c->at | E_TABLE : 0;
}

/* ---- one directory --------------------------------------------------------------------------- */

static int fork_dir(struct fork *f, unsigned n) {
  struct table *d = f->parent->dirs[n], *c = table_new(TABLE_DIR);
  if (c == NULL)
    return -ENOMEM;
  f->child->dirs[n] = c;
  f->child->own |= (u8)(1u << n);
  f->child->dir_entries[n] = c->at | E_TABLE;
  table_each(i, d) {
    u64 e = fork_dir_entry(f, d, i, (n * TABLE_ENTRIES + i) * TABLE_ENTRIES);
    if (e == 0)
      return -ENOMEM;
    c->e[i] = e;
    table_mark(c, i);
  }
  return 0;
}

static void share_dir(struct fork *f, unsigned n) {
  struct region *p = f->parent, *c = f->child;
  table_get(p->dirs[n]);
  if (p->dir_entries[n] & E_W) {
    __atomic_store_n(&p->dir_entries[n], p->dir_entries[n] & ~E_W, __ATOMIC_RELAXED);
    f->flush.all |= table_next(p->dirs[n], 0) != TABLE_ENTRIES;
  }
  c->dirs[n] = p->dirs[n];
  c->dir_entries[n] = p->dir_entries[n];
}

static int fork_dirs(struct fork *f) {
  const u32 pages = DIR_SPAN / PAGE_SIZE;
  for (unsigned n = 0; n < REGION_DIRS; n++) {
    if (f->parent->dirs[n] == NULL)
      continue;
    if (!has_hot(f, (u64)n * pages, (n + 1UL) * pages)) {
      share_dir(f, n);
    } else {
      int err = fork_dir(f, n);
      if (err)
        return err;
    }
  }
  return 0;
}

/* ---------------------------------------------------------------------------------------------- */

static struct region *new_child(struct fork *f, int *err) {
  const struct region *parent = f->parent;
  struct region *c = region_alloc(err);
  if (c == NULL)
    return NULL;
  c->hot = hotset_share(parent->hot);
  c->objs = objmaps_share(parent->objs);
  c->sp_page = f->sp_page;
  c->dead_lo = f->dead_lo;
  c->n_dead = f->n_dead;
  return c;
}

/* All of it, but for what the child is made of. Not when memory is scarce: what the child writes
   first, and others, could be refused only by killing them. */
static int fork_cold(struct fork *f) {
  int err;
  f->child = NULL;
  if (unlikely(frames_scarce()))
    return -ENOMEM;
  f->child = new_child(f, &err);
  if (f->child == NULL)
    return err;
  choose(f);
  err = fork_dirs(f);
  if (err) {
    region_take_apart(f->child);
    f->child = NULL;
  }
  return err;
}

static void share_dirs(struct fork *f) {
#pragma GCC unroll 4
  for (unsigned n = 0; n < REGION_DIRS; n++)
    if (f->parent->dirs[n] && !(f->child->own >> n & 1))
      share_dir(f, n);
}

/* What the warm child shared in its last life and still holds: the parent may write it by now. */
static void lend_again(struct fork *f) {
  for (u32 n = 0; n < f->child->n_lent; n++) {
    const struct lent_page *l = &f->child->lent[n];
    u64 *e = &l->of_parent->e[l->i];
    __atomic_store_n(e, *e & ~E_W, __ATOMIC_RELAXED);
    gather_page(&f->flush, (u64)l->page << PAGE_SHIFT);
  }
}

static int try_fork(struct region *parent, const struct region_fork_args *a, struct region **out) {
  struct fork f;
  int err = 0;
  f.parent = parent;
  look_at_stack(&f, a);
  spin_lock(&parent->lock);
  gather_init(&f.flush, parent);
  f.child = region_warm_child(parent, f.sp_page, f.dead_lo, f.n_dead);
  if (f.child) {
    share_dirs(&f);
    lend_again(&f);
  } else {
    err = fork_cold(&f);
  }
  /* After an error as well: a later fork does not look at what is write-protected already. */
  gather_flush(&f.flush);
  if (f.child) {
    region_set_child(parent, f.child);
    f.child->learn = parent->learn = LEARN_FAULTS;
    *out = f.child;
  }
  spin_unlock(&parent->lock);
  return err;
}

int region_fork(struct region *parent, const struct region_fork_args *a, struct region **out) {
  int err = try_fork(parent, a, out);
  if (unlikely(err == -ENOMEM)) {
    reclaim_kept();
    err = try_fork(parent, a, out);
  }
  return err;
}

void region_begin(struct region *r) { (void)r; }

void region_after_fork(struct region *r) { (void)r; }
