/* SPDX-License-Identifier: MIT */
/*
 * What fork lends instead of copying it: a process with one thread and its children hold one
 * structure (descriptor table, working directory), which nobody changes as long as it is lent.
 * Whichever of them wants to change it takes a copy of its own before. Such calls must not fail
 * (close, umask), so the memory for the copies is put by when the structure is lent. If nobody
 * needed it, some of it stays for the next time.
 */
#ifndef UFORK_KERNEL_LEND_H
#define UFORK_KERNEL_LEND_H

#include "kernel/mm/kmalloc.h"
#include "lib/spin.h"

struct spare {
  struct spare *next;
};

/* Part of the structure. */
struct lend {
  u32 refs;         /* holders, sharers, and who looks at it for a moment; atomic */
  u32 holders;      /* lent: processes that have it by fork; atomic */
  struct spin lock; /* spares; the structure's own contents as well */
  bool lent;        /* written by a process that is the only one to hold it */
  u32 n_spares;     /* one for each holder but one, at least; written with the lock, atomic */
  struct spare *spares;
};

static inline void lend_init(struct lend *l) {
  l->refs = l->holders = 1;
  l->lock = (struct spin)SPIN_INIT;
  l->lent = false;
  l->n_spares = 0;
  l->spares = NULL;
}

static inline void lend_get(struct lend *l) { __atomic_fetch_add(&l->refs, 1, __ATOMIC_RELAXED); }
/* True: the last reference is gone, free it, spares and all. */
static inline bool lend_put(struct lend *l) {
  return __atomic_sub_fetch(&l->refs, 1, __ATOMIC_ACQ_REL) == 0;
}
#define LEND_SPARES_KEPT 2u /* by a single holder */

/* Frees spares that only more holders needed. */
void lend_trim(struct lend *l);

/* The same for a process that does not hold it any more. */
static inline bool lend_leave(struct lend *l) {
  if (l->lent && __atomic_sub_fetch(&l->holders, 1, __ATOMIC_RELEASE) == 1 &&
      unlikely(__atomic_load_n(&l->n_spares, __ATOMIC_RELAXED) > LEND_SPARES_KEPT))
    lend_trim(l);
  return lend_put(l);
}

/* Only the running process holds it, and nobody looks at it. */
static inline bool lend_is_alone(const struct lend *l) {
  return __atomic_load_n(&l->refs, __ATOMIC_RELAXED) == 1;
}

/* To a child of the running process, which has one thread; `size` is the structure's. False: it is
   shared with others in the ordinary way, or there is no memory for copies: copy it now. */
bool lend_out(struct lend *l, size_t size);

/* The running process wants to change l, which is lent. NULL: it is the last holder and may do so,
   nothing is lent any more. Otherwise memory for a copy of its own: copies, then lend_put. l's lock
   is held by the caller. */
void *lend_take_back(struct lend *l);

void lend_free_spares(struct lend *l);

#endif
