/* SPDX-License-Identifier: MIT */
/*
 * The memory of the stack: the kernel's heap within a budget, so that traffic cannot take all of
 * it. lwIP takes every refusal for a lost frame or an error of the call. Blocks of the size of a
 * large loopback segment are kept for reuse.
 */
#include "arch/cc.h"
#include "kernel/kassert.h"
#include "kernel/mm/kmalloc.h"
#include "lib/spin.h"
#include "lib/string.h"
#include "plat/pc/net/stack.h"

#define BIG_ROOM (NET_BIG + 512) /* with headers and the pbuf */
#define BIG_FROM (NET_BIG / 2)
#define BIG_KEEP 32
#define LIMIT_MIN MIB(4)
#define LIMIT_MAX MIB(512)

/* Before every block. */
struct block {
  u64 size;
};

struct big {
  struct big *next;
};

static u64 used, limit;
static struct spin big_lock;
static struct big *big_free;
static unsigned n_big;

u64 net_mem_used(void) { return __atomic_load_n(&used, __ATOMIC_RELAXED); }

u64 net_mem_limit(void) {
  if (limit == 0)
    limit = max_u64(LIMIT_MIN, min_u64(plat_mem_limit() / 4, LIMIT_MAX));
  return limit;
}

static struct block *big_take(void) {
  spin_lock(&big_lock);
  struct big *b = big_free;
  if (b) {
    big_free = b->next;
    n_big--;
  }
  spin_unlock(&big_lock);
  return (struct block *)b;
}

/* False: enough are kept. */
static bool big_keep(struct block *p) {
  struct big *b = (struct big *)p;
  spin_lock(&big_lock);
  bool ok = n_big < BIG_KEEP;
  if (ok) {
    b->next = big_free;
    big_free = b;
    n_big++;
  }
  spin_unlock(&big_lock);
  return ok;
}

static bool is_big(size_t size) { return size > BIG_FROM && size <= BIG_ROOM; }

void *net_mem_alloc(size_t n) {
  size_t size = n + sizeof(struct block);
  if (is_big(size))
    size = BIG_ROOM;
  if (__atomic_add_fetch(&used, size, __ATOMIC_RELAXED) > net_mem_limit())
    goto fail;
  struct block *b = size == BIG_ROOM ? big_take() : NULL;
  if (!b)
    b = kmalloc(size);
  if (!b)
    goto fail;
  b->size = size;
  return b + 1;
fail:
  __atomic_sub_fetch(&used, size, __ATOMIC_RELAXED);
  return NULL;
}

void *net_mem_calloc(size_t count, size_t n) {
  size_t all;
  if (__builtin_mul_overflow(count, n, &all))
    return NULL;
  void *p = net_mem_alloc(all);
  if (p)
    memset(p, 0, all);
  return p;
}

void net_mem_free(void *p) {
  if (!p)
    return;
  struct block *b = (struct block *)p - 1;
  size_t size = b->size;
  __atomic_sub_fetch(&used, size, __ATOMIC_RELAXED);
  if (size != BIG_ROOM || !big_keep(b))
    kfree(b);
}

void *net_big_get(void) { return net_mem_alloc(NET_BIG); }
void net_big_put(void *p) { net_mem_free(p); }
