/* SPDX-License-Identifier: MIT */
#include "plat/pc/table.h"
#include "kernel/kassert.h"
#include "kernel/mm/kmalloc.h"
#include "kernel/thread.h"
#include "lib/string.h"

/* Empty tables, ready: page zeroed, struct reset. Of each CPU its own. */
#define SPARE_MAX 24u
static struct spare {
  struct table *list;
  unsigned n;
} __attribute__((aligned(64))) spares[MAX_CPUS];

static struct spare *mine(void) { return &spares[thread_current()->cpu % MAX_CPUS]; }

static u64 made; /* atomic */

u64 tables_made(void) { return __atomic_load_n(&made, __ATOMIC_RELAXED); }

static struct table *make(void) {
  struct table *t = kzalloc_as(KMEM_REGION, sizeof(*t));
  if (t == NULL)
    return NULL;
  t->at = frame_alloc_zeroed();
  if (t->at == 0) {
    kfree_as(KMEM_REGION, t);
    return NULL;
  }
  t->e = phys_ptr(t->at);
  frame_set_owner(t->at, t);
  __atomic_add_fetch(&made, 1, __ATOMIC_RELAXED);
  return t;
}

struct table *table_new(enum table_level level) {
  struct spare *s = mine();
  struct table *t = s->list;
  if (likely(t != NULL)) {
    s->list = t->next;
    s->n--;
    t->next = NULL;
  } else {
    t = make();
    if (t == NULL)
      return NULL;
  }
  t->refs = 1;
  t->level = (u8)level;
  return t;
}

static void unmake(struct table *t) {
  __atomic_sub_fetch(&made, 1, __ATOMIC_RELAXED);
  frame_free_zeroed(t->at);
  kfree_as(KMEM_REGION, t);
}

void table_free(struct table *t) {
  struct spare *s = mine();
  t->fill = 0;
  t->words = 0;
  if (s->n == SPARE_MAX) {
    unmake(t);
    return;
  }
  t->next = s->list;
  s->list = t;
  s->n++;
}

void tables_drain(void) {
  struct spare *s = mine();
  while (s->list) {
    struct table *t = s->list;
    s->list = t->next;
    unmake(t);
  }
  s->n = 0;
}

u64 tables_spare(void) {
  u64 n = 0;
  for (unsigned i = 0; i < plat_ncpus(); i++)
    n += spares[i].n;
  return n;
}

/* ---- freeing --------------------------------------------------------------------------------- */

static bool drop(struct table *t) {
  return !table_shared(t) || __atomic_sub_fetch(&t->refs, 1, __ATOMIC_ACQ_REL) == 0;
}

static void put_pages(struct table *t) {
  if (!drop(t))
    return;
  table_each_word(w, t) {
    for (u64 bits = t->used[w]; bits; bits &= bits - 1) {
      u64 *entry = &t->e[w * 64 + (unsigned)__builtin_ctzl(bits)], e = *entry;
      *entry = 0;
      if (e & E_FRAME)
        frame_put(e & E_ADDR);
    }
    t->used[w] = 0;
  }
  t->frames = 0;
  table_free(t);
}

void table_put(struct table *t) {
  if (t->level == TABLE_PAGES) {
    put_pages(t);
    return;
  }
  if (!drop(t))
    return;
  table_each_word(w, t) {
    for (u64 bits = t->used[w]; bits; bits &= bits - 1) {
      u64 *entry = &t->e[w * 64 + (unsigned)__builtin_ctzl(bits)], e = *entry;
      *entry = 0;
      if (e & E_P)
        put_pages(table_of(e));
    }
    t->used[w] = 0;
  }
  table_free(t);
}

/* ---- copying --------------------------------------------------------------------------------- */

u64 table_share(struct table *t, unsigned i) {
  u64 e = table_load(t, i);
  if (t->level == TABLE_DIR) {
    if (!(e & E_P))
      return e;
    table_get(table_of(e));
  } else {
    if (!(e & E_FRAME))
      return e;
    frame_get(e & E_ADDR);
    if (e & E_OBJECT)
      return e;
  }
  if (e & E_W)
    __atomic_store_n(&t->e[i], e & ~E_W, __ATOMIC_RELAXED);
  if (e & E_EAGER) /* the hardware shall not tell of the copy */
    e = (e & ~E_EAGER) | E_D;
  return e & ~E_W;
}

struct table *table_copy(struct table *t) {
  struct table *c = table_new(t->level);
  if (c == NULL)
    return NULL;
  c->fill = t->fill;
  c->frames = t->frames;
  c->words = t->words;
  memcpy(c->used, t->used, sizeof(c->used));
  table_each(i, t) c->e[i] = table_share(t, i);
  return c;
}

/* ---- entries --------------------------------------------------------------------------------- */

void table_set(struct table *t, unsigned i, u64 e) {
  u64 old = t->e[i], bit = 1UL << i % 64;
  if (e == 0 && t->fill)
    e = E_HOLE;
  else if (e == t->fill)
    e = 0;
  t->e[i] = e;
  if (t->level == TABLE_PAGES)
    t->frames += (u16)(!!(e & E_FRAME) - !!(old & E_FRAME));
  if (e)
    table_mark(t, i);
  else
    t->used[i / 64] &= ~bit;
}

bool table_empty(const struct table *t) {
  if (t->fill)
    return false;
  return table_next(t, 0) == TABLE_ENTRIES;
}
