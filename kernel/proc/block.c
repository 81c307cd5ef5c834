/* SPDX-License-Identifier: MIT */
/*
 * Blocks of memory for processes (struct proc and its signal handlers), recycled through a cache
 * per CPU. The first part of struct proc is set up once: when a process is gone, its locks, lists,
 * queues and its timer are what they were before it.
 */
#include "kernel/kassert.h"
#include "kernel/mm/kmalloc.h"
#include "kernel/proc/internal.h"
#include "kernel/signal/sig.h"

#define CPU_CACHE 4u

/* Who looks for writes after free wants blocks to be freed. */
#ifdef KMALLOC_DEBUG
enum { caching = 0 };
#else
enum { caching = 1 };
#endif

/* They live as long as each other. */
struct block {
  struct proc p;
  struct sighand sighand;
};

struct cache {
  struct spin lock; /* another CPU takes it only when memory is short */
  u32 n;
  struct proc *free; /* linked by `parent` */
} __attribute__((aligned(64)));

static struct cache caches[MAX_CPUS];

static struct proc *cache_pop(struct cache *c) {
  spin_lock(&c->lock);
  struct proc *p = c->free;
  if (likely(p)) {
    c->free = p->parent;
    c->n--;
  }
  spin_unlock(&c->lock);
  return p;
}

/* False: it has enough. */
static bool cache_push(struct cache *c, struct proc *p) {
  spin_lock(&c->lock);
  bool room = c->n < CPU_CACHE;
  if (likely(room)) {
    p->parent = c->free;
    c->free = p;
    c->n++;
  }
  spin_unlock(&c->lock);
  return room;
}

static struct proc *block_new(void) {
  struct block *b = kmalloc_as(KMEM_PROCESS, sizeof *b);
  if (!b)
    return NULL;
  struct proc *p = &b->p;
  p->lock = (struct spin)SPIN_INIT;
  p->sighand = &b->sighand;
  sighand_init(p->sighand);
  list_init(&p->children);
  list_init(&p->sibling_node);
  list_init(&p->pgrp_node);
  list_init(&p->threads);
  waitq_init(&p->end_wait);
  waitq_init(&p->child_wait);
  waitq_init(&p->park_q);
  waitq_init(&p->vfork_wait);
  mutex_init(&p->park_lock);
  ktimer_init(&p->cpu_limit, cpu_limit_look);
  return p;
}

struct proc *proc_block_alloc(void) {
  struct proc *p = cache_pop(&caches[thread_current()->cpu]);
  return likely(p) ? p : block_new();
}

static void block_free(struct proc *p) { kfree_as(KMEM_PROCESS, container_of(p, struct block, p)); }

void proc_block_free(struct proc *p) {
  kassert(list_empty(&p->threads) && list_empty(&p->children));
  if (unlikely(!caching || !cache_push(&caches[thread_current()->cpu], p)))
    block_free(p);
}

void proc_trim(void) {
  struct proc *p;
  for (unsigned i = 0; i < MAX_CPUS; i++)
    while ((p = cache_pop(&caches[i])) != NULL)
      block_free(p);
}
