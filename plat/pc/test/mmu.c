/* SPDX-License-Identifier: MIT */
#include "plat/pc/test/mmu.h"
#include "kernel/kassert.h"
#include "kernel/thread.h"
#include <string.h>

#define TLB_SIZE 16384u
#define DIR_CACHE 4096u
#define PROBES 64u
#define FAULT_TRIES 3

struct tlb_entry {
  u64 va, frame; /* va 0: free */
  bool writable, dirty;
};
struct dir_cache {
  u64 va, table; /* 2 MiB; table: the entry that points to the page table, rights of all levels */
  u64 generation;
};

static struct cpu {
  struct region *region;
  struct tlb_entry tlb[TLB_SIZE];
  struct dir_cache dirs[DIR_CACHE];
  u64 generation; /* dirs of older ones are forgotten */
} cpus[TEST_CPUS_MAX];

_Thread_local struct thread test_thread;
unsigned test_cpus = TEST_CPUS_MAX;
_Thread_local u64 mmu_faults, mmu_invalidations, mmu_flushes, mmu_shootdowns;

static struct cpu *self(void) { return &cpus[test_thread.cpu]; }

/* ---- TLB ------------------------------------------------------------------------------------- */

static u64 hash(u64 va) { return (va >> 12) * 0x9e3779b97f4a7c15u >> 40; }

/* The entry of va, or a free one in its place. */
static struct tlb_entry *slot(u64 va) {
  struct tlb_entry *spare = NULL;
  for (u64 i = 0; i < PROBES; i++) {
    struct tlb_entry *e = &self()->tlb[(hash(va) + i) % TLB_SIZE];
    if (e->va == va)
      return e;
    if (e->va == 0 && !spare)
      spare = e;
  }
  if (!spare) { /* hardware forgets as it likes */
    spare = &self()->tlb[hash(va) % TLB_SIZE];
    spare->va = 0;
  }
  return spare;
}

void tlb_invalidate(u64 va) {
  mmu_invalidations++;
  slot(va & PAGE_MASK)->va = 0;
  self()->generation++;
}

void tlb_invalidate_all(void) {
  mmu_flushes++;
  memset(self()->tlb, 0, sizeof(self()->tlb));
  self()->generation++;
}

void tlb_invalidate_more(void) { tlb_invalidate_all(); }
void tlb_load_root(paddr root) { (void)root; }

void smp_tlb_shootdown(u64 mask) {
  u32 me = test_thread.cpu;
  for (u32 i = 0; i < test_cpus; i++)
    if (mask >> i & 1) {
      kassert(i != me);
      mmu_shootdowns++;
      test_thread.cpu = i;
      tlb_shootdown_self();
    }
  test_thread.cpu = me;
}

unsigned plat_ncpus(void) { return test_cpus; }

/* ---- walks ----------------------------------------------------------------------------------- */

/* Hardware reads while other CPUs write. */
static u64 load(const u64 *e) { return __atomic_load_n(e, __ATOMIC_RELAXED); }

#define INDEX(va, level) ((va) >> (3 + 9 * (level)) & 511)

/* The entry that points to va's page table, with E_W only if all levels have it; 0: none. */
static u64 walk_dirs(u64 va) {
  u64 e = pagetable_root() | E_W | E_P;
  for (unsigned level = 4; level >= 2; level--) {
    u64 next = load(&((u64 *)phys_ptr(e & E_ADDR))[INDEX(va, level)]);
    if (!(next & E_P))
      return 0;
    kassert(next & E_A && !(next & E_LARGE) && !(next & 4));
    e = next & (e | ~E_W);
  }
  return e;
}

static u64 find_table(u64 va) {
  struct cpu *c = self();
  struct dir_cache *d = &c->dirs[(va >> 21) * 0x9e3779b97f4a7c15u >> 52 & (DIR_CACHE - 1)];
  if (d->va != va >> 21 || d->generation != c->generation || d->table == 0)
    *d = (struct dir_cache){va >> 21, walk_dirs(va), c->generation};
  return d->table;
}

static u64 *find_entry(u64 table, u64 va) {
  return table ? &((u64 *)phys_ptr(table & E_ADDR))[INDEX(va, 1)] : NULL;
}

/* Fills the TLB; false: page fault. */
static bool walk(u64 va, bool write) {
  u64 table = find_table(va), *at = find_entry(table, va), e = at ? load(at) : 0;
  if (!(e & E_P))
    return false;
  kassert(e & E_A && e & E_NX && !(e & 4));
  bool writable = e & table & E_W;
  if (write && !writable)
    return false;
  if (write && !(e & E_D)) { /* only in tables that nobody shares */
    kassert(e & E_EAGER && !table_shared(table_of(table)));
    *at = e |= E_D;
  }
  *slot(va) = (struct tlb_entry){va, e & E_ADDR, writable, (e & E_D) != 0};
  return true;
}

static void forget_fault(u64 va) {
  struct tlb_entry *t = slot(va);
  if (t->va == va)
    t->va = 0;
  self()->dirs[(va >> 21) * 0x9e3779b97f4a7c15u >> 52 & (DIR_CACHE - 1)].table = 0;
}

void *mmu_access(u64 off, bool write) {
  struct region *r = self()->region;
  u64 va = (r->base + off) & PAGE_MASK;
  for (unsigned tries = 0;; tries++) {
    struct tlb_entry *t = slot(va);
    if (t->va == va && (!write || (t->writable && t->dirty)))
      return phys_ptr(t->frame);
    if (walk(va, write))
      return phys_ptr(slot(va)->frame);
    forget_fault(va);
    mmu_faults++;
    kassert(tries < FAULT_TRIES);
    if (!region_fault(r, (u32)off, write))
      return NULL;
  }
}

/* ---- who runs where -------------------------------------------------------------------------- */

void mmu_cpu(unsigned cpu) { test_thread.cpu = cpu; }

void mmu_run(struct region *r) {
  struct cpu *c = self();
  if (c->region == r)
    return;
  if (c->region)
    tlb_leave(c->region->tlb);
  c->region = r;
  if (r)
    tlb_enter(r);
}

void mmu_forget(struct region *r) {
  u32 me = test_thread.cpu;
  for (test_thread.cpu = 0; test_thread.cpu < test_cpus; test_thread.cpu++)
    if (self()->region == r)
      mmu_run(NULL);
  test_thread.cpu = me;
}

/* Does this CPU look for page tables of r where they are no more? */
static u64 stale_dirs(const struct region *r) {
  struct cpu *c = self();
  for (u32 i = 0; i < DIR_CACHE; i++) {
    const struct dir_cache *d = &c->dirs[i];
    u64 va = d->va << 21;
    if (d->table == 0 || d->generation != c->generation || va < r->base ||
        va >= r->base + UF_REGION_SIZE)
      continue;
    u64 now = walk_dirs(va);
    if ((now & E_ADDR) != (d->table & E_ADDR) || (d->table & ~now & E_W))
      return va - r->base;
  }
  return 0;
}

u64 mmu_stale(const struct region *r) {
  struct cpu *c = self();
  if (c->region != r && tlb_behind(r))
    return 0;
  for (u32 i = 0; i < TLB_SIZE; i++) {
    const struct tlb_entry *t = &c->tlb[i];
    if (t->va < r->base || t->va >= r->base + UF_REGION_SIZE)
      continue;
    u64 table = walk_dirs(t->va), *e = find_entry(table, t->va);
    if (!e || !(*e & E_P) || (*e & E_ADDR) != t->frame || (t->writable && !(*e & table & E_W)))
      return t->va - r->base;
  }
  return stale_dirs(r);
}
