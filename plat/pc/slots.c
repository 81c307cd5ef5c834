/* SPDX-License-Identifier: MIT */
/*
 * Where regions lie: a slot each, at random. Slots come in windows of 512 GiB, each of which costs
 * a page of the page table for good; windows are opened in random order, a few at first, more when
 * half of the slots in the open ones are taken.
 */
#include "kernel/errno.h"
#include "plat/pc/region.h"

#define SLOTS ((u32)((REGION_AREA_HI - REGION_AREA_LO) / UF_REGION_STRIDE))
#define WORDS ((SLOTS + 63) / 64)
#define WINDOW_SLOTS (SLOTS < 64 ? SLOTS : 64)
#define WINDOWS (SLOTS / WINDOW_SLOTS)
#define OPEN_MIN 8u
#define RESEED 256u /* slots taken between two looks at the entropy source */

static struct spin lock;
static u64 taken[WORDS];
static u32 in_use;
static u16 windows[WINDOWS]; /* open ones first; number + 1, 0: the one that belongs here */
static u32 n_open;
static u64 random_state;
static u32 random_uses;
/* `need`: the TLB generation of the last region there when it died. */
static struct region_tlb tlbs[SLOTS];
static struct region *owners[SLOTS];

static u64 base_of(u32 slot) { return REGION_AREA_LO + slot * UF_REGION_STRIDE; }

static u32 random_below(u32 n) {
  if (random_uses++ % RESEED == 0) {
    u64 fresh;
    plat_random(&fresh, sizeof(fresh));
    random_state ^= fresh;
    random_state |= random_state == 0;
  }
  random_state ^= random_state << 13;
  random_state ^= random_state >> 7;
  random_state ^= random_state << 17;
  return (u32)((random_state >> 32) * n >> 32);
}

static bool is_taken(u32 s) { return taken[s / 64] >> s % 64 & 1; }

/* Swaps a random closed window to the end of the open ones. */
static void open_window(void) {
  u32 i = n_open + random_below(WINDOWS - n_open);
  u16 w = windows[i] ? windows[i] : (u16)(i + 1);
  windows[i] = windows[n_open] ? windows[n_open] : (u16)(n_open + 1);
  windows[n_open++] = w;
}

/* A free slot: a random one, or the next after it. */
static u32 find(void) {
  while (n_open < WINDOWS && (n_open < OPEN_MIN || in_use * 2 >= n_open * WINDOW_SLOTS))
    open_window();
  u32 i = random_below(n_open * WINDOW_SLOTS);
  for (;;) {
    u32 s = (windows[i / WINDOW_SLOTS] - 1u) * WINDOW_SLOTS + i % WINDOW_SLOTS;
    if (!is_taken(s))
      return s;
    i = i + 1 < n_open * WINDOW_SLOTS ? i + 1 : 0;
  }
}

int slot_take(struct region *r) {
  spin_lock(&lock);
  if (in_use == WINDOWS * WINDOW_SLOTS) {
    spin_unlock(&lock);
    return -EAGAIN;
  }
  u32 s = find();
  taken[s / 64] |= 1UL << s % 64;
  in_use++;
  spin_unlock(&lock);
  r->slot = s;
  owners[s] = r;
  r->base = base_of(s);
  r->tlb = &tlbs[s];
  r->tlb->ran = r->tlb->active = r->tlb->stale = 0;
  u64 *pdpt = pagetable_pdpt(r->base);
  if (pdpt == NULL) {
    slot_give(r);
    return -ENOMEM;
  }
  r->dir_entries = &pdpt[r->base >> 30 & 511];
  return 0;
}

void slot_give(struct region *r) {
  u32 s = r->slot;
  if (r->tlb->ran)
    r->tlb->need = tlb_new_generation();
  spin_lock(&lock);
  taken[s / 64] &= ~(1UL << s % 64);
  owners[s] = NULL;
  in_use--;
  spin_unlock(&lock);
}

struct region *region_at(u64 addr) {
  u64 s = (addr - REGION_AREA_LO) / UF_REGION_STRIDE;
  return addr >= REGION_AREA_LO && s < SLOTS ? owners[s] : NULL;
}

u32 slots_in_use(void) { return in_use; }

unsigned region_count(void) {
  unsigned n = __atomic_load_n(&in_use, __ATOMIC_RELAXED), kept = regions_warm();
  return n > kept ? n - kept : 0;
}
