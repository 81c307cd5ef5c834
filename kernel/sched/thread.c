/* SPDX-License-Identifier: MIT */
/*
 * Thread blocks (struct thread and kernel stack), recycled through a cache per CPU and a shared
 * one behind it. A recycled block keeps what its owners set up once: `fpu` (platform) and `sig`
 * (signal/). Nothing else of it survives.
 */
#include "kernel/kassert.h"
#include "kernel/proc/proc.h"
#include "kernel/signal/sig.h"
#include "lib/string.h"

#define CPU_CACHE 32
#define SHARED_CACHE 512

struct cache {
  struct spin lock; /* of a CPU's: another takes it only when memory is short */
  struct list free; /* struct thread.run_node */
  unsigned n;
};

static struct cache cpu_cache[MAX_CPUS];
static struct cache shared = {SPIN_INIT, LIST_INIT(shared.free), 0};
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
  if (room) {
    if (c->free.next == NULL)
      list_init(&c->free);
    list_push_front(&c->free, &t->run_node);
    c->n++;
  }
  spin_unlock(&c->lock);
  return room;
}

static struct thread *cache_pop(struct cache *c) {
  struct thread *t = NULL;
  spin_lock(&c->lock);
  if (c->n > 0) {
    c->n--;
    t = list_entry(list_pop_front(&c->free), struct thread, run_node);
  }
  spin_unlock(&c->lock);
  return t;
}

/* Another CPU's is better than new memory: a process often ends elsewhere than it began. */
static struct thread *take_cached(void) {
  unsigned here = thread_current()->cpu, n = plat_ncpus();
  struct thread *t = cache_pop(&cpu_cache[here]);
  if (!t)
    t = cache_pop(&shared);
  for (unsigned i = 1; i < n && !t; i++)
    t = cache_pop(&cpu_cache[(here + i) % n]);
  return t;
}

static void reset(struct thread *t) {
  void *fpu = t->fpu;
  struct thread_sig *sig = t->sig;
  memset(t, 0, sizeof *t);
  t->fpu = fpu;
  t->sig = sig;
  t->uregs = (struct uregs *)t - 1;
  t->state = THREAD_UNINTERRUPTIBLE;
  t->refs = 1;
  list_init(&t->run_node);
  list_init(&t->proc_node);
#ifdef LOCK_CHECK
  t->checked = LOCK_CHECKED;
#endif
  if (sig)
    thread_sig_reset(sig);
}

struct thread *thread_alloc_new(void) {
  struct thread *t = plat_thread_alloc();
  if (t == NULL)
    return NULL;
  __atomic_add_fetch(&blocks, 1, __ATOMIC_RELAXED);
  reset(t);
  return t;
}

struct thread *thread_alloc(void) {
  struct thread *t = take_cached();
  if (!t)
    return thread_alloc_new();
  reset(t);
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
