/* SPDX-License-Identifier: MIT */
/*
 * Who has which part of the text window: a sorted array of ranges.
 *
 * A range that had code in it is retired first. A thread may have been interrupted in it (any
 * µprocess can jump to any bundle), and would go on in the middle of an instruction of whatever is
 * installed there next. So a retired range comes back only when every CPU has been in the kernel
 * since the code was unmapped, and no thread's saved registers point into it: whoever still runs
 * there or returns there faults.
 */
#include "kernel/kassert.h"
#include "kernel/mm/image_internal.h"
#include "kernel/mm/kmalloc.h"
#include "kernel/proc/proc.h"
#include "lib/string.h"

#define PATIENCE 20000000u /* ns to wait for the CPUs */

struct range {
  u32 lo, hi;
  u64 retired; /* the epoch in which it was; 0: in use */
};

static struct spin window_lock;
static struct range *used;
static u32 nused, cap;
static u64 epoch = 1;
static u64 seen[MAX_CPUS]; /* the epoch in which a CPU was last known not to run user code */

/* Hole i lies before range i; the last one ends with the window. */
static struct range hole(u32 i) {
  u32 lo = i == 0 ? UF_WINDOW_LO : used[i - 1].hi, hi = i == nused ? UF_WINDOW_HI : used[i].lo;
  return (struct range){.lo = lo, .hi = hi};
}

/* Page-aligned places for size bytes in a hole. */
static u64 places(struct range h, u32 size) {
  return h.hi - h.lo < size ? 0 : (h.hi - h.lo - size) / PAGE_SIZE + 1;
}

static bool make_room(void) {
  if (nused < cap)
    return true;
  u32 n = cap ? cap * 2 : 16;
  struct range *r = krealloc(used, n * sizeof *r);
  if (r == NULL)
    return false;
  used = r;
  cap = n;
  return true;
}

static void insert(u32 i, u32 lo, u32 hi) {
  memmove(&used[i + 1], &used[i], (nused - i) * sizeof *used);
  used[i] = (struct range){.lo = lo, .hi = hi};
  nused++;
}

static void erase(u32 i) {
  memmove(&used[i], &used[i + 1], (nused - i - 1) * sizeof *used);
  nused--;
}

static u32 alloc_locked(u32 size, u64 random) {
  u64 total = 0;
  for (u32 i = 0; i <= nused; i++)
    total += places(hole(i), size);
  if (total == 0 || !make_room())
    return 0;
  u64 pick = random % total;
  u32 i = 0;
  for (u64 n; pick >= (n = places(hole(i), size)); i++)
    pick -= n;
  u32 lo = hole(i).lo + (u32)(pick * PAGE_SIZE);
  insert(i, lo, lo + size);
  return lo;
}

static u32 try_alloc(u32 size) {
  u64 random;
  plat_random(&random, sizeof random);
  spin_lock(&window_lock);
  u32 addr = alloc_locked(size, random);
  spin_unlock(&window_lock);
  return addr;
}

static u32 index_of(u32 addr, u32 size) {
  u32 i = 0;
  while (i < nused && used[i].lo != addr)
    i++;
  kassert(i < nused && used[i].hi - addr == size && used[i].retired == 0);
  return i;
}

void window_free(u32 addr, u32 size) {
  spin_lock(&window_lock);
  erase(index_of(addr, size));
  spin_unlock(&window_lock);
}

/* ---- retired ranges ---------------------------------------------------------------------- */

void window_retire(u32 addr, u32 size) {
  spin_lock(&window_lock);
  u64 now = __atomic_add_fetch(&epoch, 1, __ATOMIC_SEQ_CST);
  used[index_of(addr, size)].retired = now;
  spin_unlock(&window_lock);
}

void image_quiesce(void) {
  u64 now = __atomic_load_n(&epoch, __ATOMIC_SEQ_CST);
  __atomic_store_n(&seen[thread_current()->cpu], now, __ATOMIC_SEQ_CST);
}

/* The epoch that every CPU has seen. */
static u64 all_seen(void) {
  u64 oldest = UINT64_MAX;
  for (unsigned i = 0; i < plat_ncpus(); i++)
    oldest = min_u64(oldest, __atomic_load_n(&seen[i], __ATOMIC_SEQ_CST));
  return oldest;
}

/* Makes every CPU enter the kernel; the epoch that all have seen then. */
static u64 wait_for_cpus(void) {
  u64 want = __atomic_load_n(&epoch, __ATOMIC_SEQ_CST), give_up = plat_now() + PATIENCE;
  image_quiesce();
  for (unsigned i = 0; i < plat_ncpus(); i++)
    if (i != thread_current()->cpu)
      plat_cpu_kick(i);
  while (all_seen() < want && plat_now() < give_up)
    plat_relax();
  return all_seen();
}

/* Candidates for reuse. */
struct reclaim {
  struct range *range;
  u32 n;
};

/* Drops the candidates that the saved user context of a thread of p points into. */
static void drop_occupied(struct proc *p, void *arg) {
  struct reclaim *c = arg;
  struct thread *t;
  spin_lock(&p->lock);
  list_for_each(t, &p->threads, proc_node) {
    u64 rip = t->uregs != NULL ? __atomic_load_n(&t->uregs->rip, __ATOMIC_RELAXED) : 0;
    for (u32 i = 0; i < c->n; i++)
      if (rip >= c->range[i].lo && rip < c->range[i].hi)
        c->range[i].retired = 0;
  }
  spin_unlock(&p->lock);
}

static void collect(struct reclaim *c, u64 upto, u32 max) {
  spin_lock(&window_lock);
  for (u32 i = 0; i < nused && c->n < max; i++)
    if (used[i].retired != 0 && used[i].retired <= upto)
      c->range[c->n++] = used[i];
  spin_unlock(&window_lock);
}

/* Two threads may reclaim at once: a range counts if it still is what was collected. */
static void release(const struct range *r) {
  spin_lock(&window_lock);
  for (u32 i = 0; i < nused; i++)
    if (r->retired != 0 && used[i].lo == r->lo && used[i].retired == r->retired) {
      erase(i);
      break;
    }
  spin_unlock(&window_lock);
}

static void reclaim(void) {
  u32 max = __atomic_load_n(&nused, __ATOMIC_RELAXED);
  struct reclaim c = {.range = kmalloc(max * sizeof *c.range)};
  if (c.range == NULL)
    return;
  collect(&c, wait_for_cpus(), max);
  if (c.n > 0)
    proc_for_each(drop_occupied, &c);
  for (u32 i = 0; i < c.n; i++)
    release(&c.range[i]);
  kfree(c.range);
}

u32 window_alloc(u32 size) {
  u32 addr = try_alloc(size);
  if (addr == 0 && size <= UF_WINDOW_HI - UF_WINDOW_LO) {
    reclaim();
    addr = try_alloc(size);
  }
  return addr;
}
