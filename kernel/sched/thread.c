/* SPDX-License-Identifier: MIT */
/*
 * Thread blocks (struct thread and kernel stack), recycled through a cache per CPU and a shared
 * one behind it. A recycled block keeps what was set up once: its lists, which are empty again,
 * `fpu` (platform) and `sig` (signal/). Nothing else of it survives.
 */
#include "kernel/kassert.h"
#include "kernel/proc/proc.h"
#include "kernel/signal/sig.h"
#include "lib/string.h"

#define CPU_CACHE 32
#define SHARED_CACHE 512

struct cache {
  struct spin lock; /* of a CPU's: another takes it only when memory is short */
  unsigned n;
  struct thread *free; /* linked by `next_free` */
};

static struct cache cpu_cache[MAX_CPUS];
static struct cache shared;
static u64 blocks; /* there are, cached ones included; atomic */

static unsigned in_cache(struct cache *c) {
  spin_lock(&c->lock);
  unsigned n = c->n;
  spin_unlock(&c->lock);
  return n;
}

u64 thread_blocks(u64 *cached) {
  *cached = in_cache(&shared);
  for (unsigned i = 0; i < MAX_CPUS; i++)
    *cached += in_cache(&cpu_cache[i]);
  return __atomic_load_n(&blocks, __ATOMIC_RELAXED);
}

/* False: it has `max` already. */
static bool cache_push(struct cache *c, struct thread *t, unsigned max) {
  spin_lock(&c->lock);
  bool room = c->n < max;
  if (likely(room)) {
    t->next_free = c->free;
    c->free = t;
    c->n++;
  }
  spin_unlock(&c->lock);
  return room;
}

static struct thread *cache_pop(struct cache *c) {
  spin_lock(&c->lock);
  struct thread *t = c->free;
  if (likely(t)) {
    c->free = t->next_free;
    c->n--;
  }
  spin_unlock(&c->lock);
  return t;
}

/* Another CPU's is better than new memory: a process often ends elsewhere than it began. */
static __attribute__((noinline)) struct thread *take_elsewhere(unsigned here) {
  struct thread *t = cache_pop(&shared);
  for (unsigned i = 1, n = plat_ncpus(); i < n && !t; i++)
    t = cache_pop(&cpu_cache[(here + i) % n]);
  return t;
}

static inline struct thread *take_cached(void) {
  unsigned here = thread_current()->cpu;
  struct thread *t = cache_pop(&cpu_cache[here]);
  return likely(t) ? t : take_elsewhere(here);
}

static inline void reset(struct thread *t) {
  __builtin_memset(t, 0, offsetof(struct thread, uregs));
  t->state = THREAD_UNINTERRUPTIBLE;
  t->refs = 1;
#ifdef LOCK_CHECK
  t->checked = LOCK_CHECKED;
#endif
}

struct thread *thread_alloc_new(void) {
  struct thread *t = plat_thread_alloc();
  if (t == NULL)
    return NULL;
  __atomic_add_fetch(&blocks, 1, __ATOMIC_RELAXED);
  t->uregs = (struct uregs *)t - 1;
  t->wake_lock = (struct spin)SPIN_INIT;
  list_init(&t->run_node);
  list_init(&t->proc_node);
  reset(t);
  return t;
}

struct thread *thread_alloc(void) {
  struct thread *t = take_cached();
  if (unlikely(!t))
    return thread_alloc_new();
  kassert(list_empty(&t->run_node) && list_empty(&t->proc_node));
  reset(t);
  if (likely(t->sig))
    thread_sig_reset(t->sig);
  return t;
}

void thread_get(struct thread *t) { __atomic_add_fetch(&t->refs, 1, __ATOMIC_RELAXED); }

static void free_block(struct thread *t) {
  __atomic_sub_fetch(&blocks, 1, __ATOMIC_RELAXED);
  thread_sig_free(t->sig);
  plat_thread_free(t);
}

static void trim(struct cache *c) {
  for (struct thread *t; (t = cache_pop(c)) != NULL;)
    free_block(t);
}

void thread_trim(void) {
  for (unsigned i = 0; i < MAX_CPUS; i++)
    trim(&cpu_cache[i]);
  trim(&shared);
}

static void release(struct thread *t) {
  if (!cache_push(&cpu_cache[thread_current()->cpu], t, CPU_CACHE) &&
      !cache_push(&shared, t, SHARED_CACHE))
    free_block(t);
}

void thread_put(struct thread *t) {
  if (__atomic_sub_fetch(&t->refs, 1, __ATOMIC_ACQ_REL) != 0)
    return;
  if (t->proc)
    proc_put(t->proc);
  release(t);
}
