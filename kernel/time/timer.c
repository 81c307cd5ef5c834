/* SPDX-License-Identifier: MIT */
#include "kernel/time/timer.h"

#include "lib/spin.h"

static struct spin timers_lock; /* protects the heap and every timer's flags */
static struct ktimer *root;     /* earliest timer */
u64 ktimer_first = UINT64_MAX;  /* root's, readable without the lock */

/* ---- the heap; the lock is held -------------------------------------------------------- */

static struct ktimer *meld(struct ktimer *a, struct ktimer *b) {
  if (!a)
    return b;
  if (!b)
    return a;
  if (b->deadline < a->deadline) {
    struct ktimer *t = a;
    a = b;
    b = t;
  }
  b->next = a->child;
  if (a->child)
    a->child->prev = b;
  b->prev = a;
  a->child = b;
  return a;
}

/* Two passes: meld siblings in pairs from the left, then the pairs from the right. */
static struct ktimer *meld_siblings(struct ktimer *first) {
  struct ktimer *pairs = NULL;
  while (first) {
    struct ktimer *a = first, *b = a->next;
    first = b ? b->next : NULL;
    a->next = a->prev = NULL;
    if (b)
      b->next = b->prev = NULL;
    struct ktimer *m = meld(a, b);
    m->next = pairs;
    pairs = m;
  }
  struct ktimer *all = NULL;
  while (pairs) {
    struct ktimer *m = pairs;
    pairs = m->next;
    m->next = NULL;
    all = meld(all, m);
  }
  return all;
}

static void heap_remove(struct ktimer *t) {
  struct ktimer *sub = meld_siblings(t->child);
  if (t == root) {
    root = sub;
  } else {
    if (t->prev->child == t)
      t->prev->child = t->next;
    else
      t->prev->next = t->next;
    if (t->next)
      t->next->prev = t->prev;
    root = meld(root, sub);
  }
  t->child = t->next = t->prev = NULL;
  __atomic_store_n(&t->armed, false, __ATOMIC_RELAXED);
}

static void publish_next(void) {
  __atomic_store_n(&ktimer_first, root ? root->deadline : UINT64_MAX, __ATOMIC_RELEASE);
}

/* ---- interface ------------------------------------------------------------------------- */

void ktimer_init(struct ktimer *t, void (*fire)(struct ktimer *t)) {
  *t = (struct ktimer){.fire = fire};
}

void ktimer_arm(struct ktimer *t, u64 deadline) {
  spin_lock(&timers_lock);
  if (t->armed)
    heap_remove(t);
  t->deadline = deadline;
  __atomic_store_n(&t->armed, true, __ATOMIC_RELAXED);
  root = meld(root, t);
  bool earlier = root == t;
  publish_next();
  spin_unlock(&timers_lock);
  if (earlier)
    plat_timer_changed(deadline);
}

bool ktimer_disarm(struct ktimer *t) {
  spin_lock(&timers_lock);
  bool was = t->armed;
  if (was) {
    heap_remove(t);
    publish_next();
  }
  spin_unlock(&timers_lock);
  return was;
}

/* A callback that is under way may arm the timer once more. */
bool ktimer_cancel(struct ktimer *t) {
  bool was = false;
  do {
    was |= ktimer_disarm(t);
    while (__atomic_load_n(&t->firing, __ATOMIC_ACQUIRE))
      plat_relax();
  } while (ktimer_is_armed(t));
  return was;
}

bool ktimer_is_armed(const struct ktimer *t) {
  return __atomic_load_n(&t->armed, __ATOMIC_RELAXED);
}

u64 ktimer_run(u64 now) {
  if (now < ktimer_next())
    return ktimer_next();
  spin_lock(&timers_lock);
  while (root && root->deadline <= now) {
    struct ktimer *t = root;
    heap_remove(t);
    __atomic_add_fetch(
        &t->firing, 1,
        __ATOMIC_RELAXED); /* by several CPUs at once if the callback arms it for the past */
    spin_unlock(&timers_lock);
    t->fire(t);
    /* The callback may have let the owner know that it is done, but the owner frees t only
       after ktimer_cancel, which waits for this store. */
    __atomic_sub_fetch(&t->firing, 1, __ATOMIC_RELEASE);
    spin_lock(&timers_lock);
  }
  publish_next();
  spin_unlock(&timers_lock);
  u64 next = ktimer_next();
  if (next != UINT64_MAX) /* the platform knew of the one that was due only */
    plat_timer_changed(next);
  return next;
}
