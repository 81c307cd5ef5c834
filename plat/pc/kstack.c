/* SPDX-License-Identifier: MIT */
/*
 * A block that is given back stays mapped for the next thread until KEPT of them wait; then all go
 * at once, since an address must be forgotten by every CPU's TLB before its frames are anybody
 * else's.
 */
#include "plat/pc/kstack.h"
#include "kernel/kassert.h"
#include "lib/string.h"
#include "plat/pc/pagetable.h"
#include "plat/pc/pc.h"
#include "plat/pc/tlb.h"

#define KEPT 32
#define PAGES (KSTACK_SIZE / PAGE_SIZE)
/* Threads have ids, of which there are 2^15; caches and CPUs take some more. */
#define SLOTS 0x10000u

static struct spin lock; /* all that follows */
static u64 taken[SLOTS / 64];
static u32 first_free; /* no word of `taken` before this one has a free bit */
static struct thread *kept[KEPT];
static u32 n_kept;
static u64 pages_used; /* read without the lock */

static struct thread *thread_of(u32 slot) { return thread_at(STACK_LO + (u64)slot * KSTACK_SPAN); }
static u32 slot_of(u64 a) { return (u32)((a - STACK_LO) / KSTACK_SPAN); }
static u64 block_of(const struct thread *t) { return (u64)t + THREAD_ROOM - KSTACK_SIZE; }

/* ---- addresses ------------------------------------------------------------------------------- */

static struct thread *slot_take(void) {
  struct thread *t = NULL;
  spin_lock(&lock);
  while (first_free < SLOTS / 64 && taken[first_free] == ~0UL)
    first_free++;
  if (first_free < SLOTS / 64) {
    u32 bit = (u32)__builtin_ctzl(~taken[first_free]);
    taken[first_free] |= 1UL << bit;
    t = thread_of(first_free * 64 + bit);
  }
  spin_unlock(&lock);
  return t;
}

static void slot_give_locked(const struct thread *t) {
  u32 slot = slot_of((u64)t);
  kassert(taken[slot / 64] >> slot % 64 & 1);
  taken[slot / 64] &= ~(1UL << slot % 64);
  first_free = first_free < slot / 64 ? first_free : slot / 64;
}

static void slots_give(struct thread **t, u32 n) {
  spin_lock(&lock);
  for (u32 i = 0; i < n; i++)
    slot_give_locked(t[i]);
  spin_unlock(&lock);
}

/* ---- memory ---------------------------------------------------------------------------------- */

static bool map_page(u64 va) {
  paddr p = frame_alloc_zeroed();
  if (p == 0)
    return false;
  if (pagetable_map(va, p, PAGE_SIZE, PT_RW) == 0)
    return true;
  frame_put(p);
  return false;
}

static void count(i64 pages) { __atomic_add_fetch(&pages_used, (u64)pages, __ATOMIC_RELAXED); }

/* Takes n blocks of at most KEPT apart, and their addresses are free again. */
static void unmap(struct thread **t, u32 n) {
  paddr frames[KEPT * PAGES];
  u32 found = 0;
  u64 lo = UINT64_MAX, hi = 0;
  for (u32 i = 0; i < n; i++) {
    u64 va = block_of(t[i]);
    lo = min_u64(lo, va);
    hi = max_u64(hi, va + KSTACK_SIZE);
    for (u32 k = 0; k < PAGES; k++) {
      u64 size, e = pagetable_lookup(va + k * PAGE_SIZE, &size);
      if (e) /* a block that could not be mapped to its end has less */
        frames[found++] = e & E_ADDR;
    }
    pagetable_unmap(va, KSTACK_SIZE);
  }
  tlb_flush_global(lo, (hi - lo) / PAGE_SIZE);
  for (u32 i = 0; i < found; i++)
    frame_put(frames[i]);
  count(-(i64)found);
  slots_give(t, n);
}

static struct thread *map_new(void) {
  struct thread *t = slot_take();
  if (t == NULL)
    return NULL;
  for (u32 k = 0; k < PAGES; k++) {
    if (!map_page(block_of(t) + k * PAGE_SIZE)) {
      unmap(&t, 1);
      return NULL;
    }
    count(1);
  }
  return t;
}

/* ---- the interface --------------------------------------------------------------------------- */

struct thread *plat_thread_alloc(void) {
  struct thread *t = NULL;
  spin_lock(&lock);
  if (n_kept > 0)
    t = kept[--n_kept];
  spin_unlock(&lock);
  if (t == NULL)
    return map_new();
  memset((void *)block_of(t), 0, KSTACK_SIZE);
  return t;
}

/* With the lock held: all that is kept, to be unmapped without it. */
static u32 take_kept(struct thread **t) {
  u32 n = n_kept;
  for (u32 i = 0; i < n; i++)
    t[i] = kept[i];
  n_kept = 0;
  return n;
}

void plat_thread_free(struct thread *t) {
  struct thread *old[KEPT];
  u32 n = 0;
  spin_lock(&lock);
  if (n_kept == KEPT)
    n = take_kept(old);
  kept[n_kept++] = t;
  spin_unlock(&lock);
  if (n)
    unmap(old, n);
}

void kstack_drain(void) {
  struct thread *old[KEPT];
  spin_lock(&lock);
  u32 n = take_kept(old);
  spin_unlock(&lock);
  if (n)
    unmap(old, n);
}

u64 kstack_pages(void) { return __atomic_load_n(&pages_used, __ATOMIC_RELAXED); }

/* ---- who is where ---------------------------------------------------------------------------- */

static bool is_taken(u64 a) {
  if (a < STACK_LO || a >= STACK_LO + (u64)SLOTS * KSTACK_SPAN)
    return false;
  u32 slot = slot_of(a);
  return __atomic_load_n(&taken[slot / 64], __ATOMIC_RELAXED) >> slot % 64 & 1;
}

static bool is_guard(u64 a) { return a % KSTACK_SPAN < KSTACK_SPAN - KSTACK_SIZE; }

bool kstack_holds(u64 a) { return is_taken(a) && !is_guard(a) && !is_guard(a + 15); }

const struct thread *kstack_below(u64 a) {
  bool first = a >= (u64)boot_guard && a < (u64)boot_guard_end;
  return first || (is_taken(a) && is_guard(a)) ? thread_at(a) : NULL;
}
