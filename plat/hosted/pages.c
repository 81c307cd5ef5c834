/* SPDX-License-Identifier: MIT */
/*
 * Kernel memory: blocks of 2^k pages cut from one large host mapping, recycled through a free list
 * per order. Small free blocks keep their frames (no host call on any hot path) and are zeroed when
 * they are handed out again; large ones give the frames back, which zeroes them as well.
 */
#include "kernel/errno.h"
#include "kernel/thread.h"
#include "lib/spin.h"
#include "lib/string.h"
#include "plat/hosted/hosted.h"
#include "plat/hosted/linux.h"

#define ORDERS 24
#define LARGE_ORDER 6 /* from 256 KiB on frames go back to the host */

struct free_block {
  struct free_block *next;
};

static struct spin lock;
static struct free_block *free_blocks[ORDERS];
static char *arena, *arena_end; /* the part never used */
static char *arena_start;
static u8 *block_order; /* per page of the arena: order of the block that starts there */
static u64 pages_used;

static i64 map_anonymous(u64 size) {
  return lx6(mmap, NULL, size, LX_PROT_READ | LX_PROT_WRITE,
             LX_MAP_PRIVATE | LX_MAP_ANONYMOUS | LX_MAP_NORESERVE, -1, 0);
}

int pages_init(void) {
  for (u64 size = GIB(256); size >= MIB(256); size /= 4) {
    i64 p = map_anonymous(size);
    if (lx_failed(p))
      continue;
    arena = arena_start = (char *)round_up((u64)p, MIB(2));
    arena_end = (char *)p + size;
    lx3(madvise, p, size, LX_MADV_NOHUGEPAGE);
    p = map_anonymous(size / PAGE_SIZE);
    block_order = (u8 *)p;
    return lx_failed(p) ? (int)p : 0;
  }
  return -ENOMEM;
}

static unsigned order_of(size_t n, size_t align) {
  size_t pages = n > align / PAGE_SIZE ? n : align / PAGE_SIZE;
  unsigned k = 0;
  while ((size_t)1 << k < pages)
    k++;
  return k;
}

static void push(void *p, unsigned k) {
  struct free_block *b = p;
  b->next = free_blocks[k];
  free_blocks[k] = b;
}

/* Cuts a naturally aligned block off the arena; what alignment skips becomes free blocks. */
static void *cut(unsigned k) {
  u64 size = PAGE_SIZE << k;
  char *p = (char *)round_up((u64)arena, size);
  if (p + size > arena_end || p < arena)
    return NULL;
  while (arena < p) {
    unsigned gap = (unsigned)__builtin_ctzl((u64)arena) - PAGE_SHIFT;
    push(arena, gap);
    arena += PAGE_SIZE << gap;
  }
  arena = p + size;
  return p;
}

/* The n pages that begin `skip` bytes into a block are zeroed; the block. */
static void *pages_alloc(size_t n, size_t align, size_t skip) {
  unsigned k = order_of(n, align);
  if (k >= ORDERS || plat_mem_used() + n * PAGE_SIZE > plat_mem_limit())
    return NULL;
  spin_lock(&lock);
  struct free_block *b = free_blocks[k];
  void *p = b;
  if (b)
    free_blocks[k] = b->next;
  else
    p = cut(k);
  if (p) {
    pages_used += n;
    block_order[((char *)p - arena_start) / PAGE_SIZE] = (u8)k;
  }
  spin_unlock(&lock);
  if (b)
    memset((char *)p + skip, 0, k < LARGE_ORDER ? n * PAGE_SIZE : sizeof(*b));
  return p;
}

void *plat_pages_alloc(size_t n, size_t align) { return pages_alloc(n, align, 0); }

void plat_pages_free(void *p, size_t n) {
  unsigned k = block_order[((char *)p - arena_start) / PAGE_SIZE];
  if (k >= LARGE_ORDER)
    lx3(madvise, p, PAGE_SIZE << k, LX_MADV_DONTNEED);
  spin_lock(&lock);
  push(p, k);
  pages_used -= n;
  spin_unlock(&lock);
}

/* ---- thread blocks --------------------------------------------------------------------------- */

/* The memory between a block and the start of its span is never touched. A guard of the host's
   (Linux 6.13) makes that certain and is a mark in page tables, not a mapping, of which the host
   allows only so many. It stays as long as the core keeps the block. */
#define GUARD (KSTACK_SPAN - KSTACK_SIZE)

static char *span_of(const struct thread *t) { return (char *)t + THREAD_ROOM - KSTACK_SPAN; }

struct thread *plat_thread_alloc(void) {
  /* Of a span; only the pages of the block count as used. */
  char *span = pages_alloc(KSTACK_SIZE / PAGE_SIZE, KSTACK_SPAN, GUARD);
  if (!span)
    return NULL;
  lx3(madvise, span, GUARD, LX_MADV_GUARD_INSTALL);
  return thread_at((u64)span);
}

void plat_thread_free(struct thread *t) {
  char *span = span_of(t);
  lx3(madvise, span, GUARD, LX_MADV_GUARD_REMOVE);
  plat_pages_free(span, KSTACK_SIZE / PAGE_SIZE);
}

u64 pages_bytes_used(void) { return __atomic_load_n(&pages_used, __ATOMIC_RELAXED) * PAGE_SIZE; }
