/* SPDX-License-Identifier: MIT */
#include "kernel/fs/lend.h"
#include "kernel/proc/proc.h"

static bool put_by(struct lend *l, size_t size) {
  while (unlikely(l->n_spares < l->holders)) {
    struct spare *s = kmalloc_as(KMEM_FILE, size);
    if (!s)
      return false;
    s->next = l->spares;
    l->spares = s;
    __atomic_store_n(&l->n_spares, l->n_spares + 1, __ATOMIC_RELAXED);
  }
  return true;
}

static struct spare *take_spare(struct lend *l) {
  struct spare *s = l->spares;
  l->spares = s->next;
  __atomic_store_n(&l->n_spares, l->n_spares - 1, __ATOMIC_RELAXED);
  return s;
}

static void trim_locked(struct lend *l) {
  while (l->n_spares > LEND_SPARES_KEPT &&
         l->n_spares > __atomic_load_n(&l->holders, __ATOMIC_RELAXED))
    kfree_as(KMEM_FILE, take_spare(l));
}

void lend_trim(struct lend *l) {
  spin_lock(&l->lock);
  trim_locked(l);
  spin_unlock(&l->lock);
}

bool lend_out(struct lend *l, size_t size) {
  bool lent = false;
  if (unlikely(proc_current()->nthreads != 1))
    return false;
  spin_lock(&l->lock);
  if (likely((l->lent || lend_is_alone(l)) && put_by(l, size))) {
    l->lent = lent = true;
    __atomic_fetch_add(&l->holders, 1, __ATOMIC_RELAXED);
    lend_get(l);
  }
  spin_unlock(&l->lock);
  return lent;
}

void *lend_take_back(struct lend *l) {
  if (__atomic_load_n(&l->holders, __ATOMIC_ACQUIRE) == 1) {
    l->lent = false;
    return NULL;
  }
  struct spare *s = take_spare(l);
  if (__atomic_sub_fetch(&l->holders, 1, __ATOMIC_RELAXED) == 1)
    trim_locked(l);
  return s;
}

void lend_free_spares(struct lend *l) {
  while (l->spares) {
    struct spare *s = l->spares;
    l->spares = s->next;
    kfree_as(KMEM_FILE, s);
  }
}
