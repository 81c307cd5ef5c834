/* SPDX-License-Identifier: MIT */
#include "plat/pc/frames.h"
#include "kernel/kassert.h"
#include "kernel/thread.h"
#include "lib/spin.h"
#include "lib/string.h"
#include "plat/pc/page.h"

#define ORDERS 19 /* blocks of up to 1 GiB */
#define CPU_FRAMES 64u
#define CPU_BATCH 32u
#define SCARCE_PART 32u /* of all frames, */
#ifndef SCARCE_MAX      /* but not more */
#define SCARCE_MAX (MIB(16) / PAGE_SIZE)
#endif

enum frame_state { FRAME_RESERVED, FRAME_FREE, FRAME_CACHED, FRAME_USED };

/* Of each frame, indexed by frame number; number 0 stands for none. */
struct frame {
  u32 refs; /* USED: references, atomic */
  u8 state; /* FREE: the first frame of a free block of the buddy allocator */
  u8 order; /* FREE: of what size */
  union {
    struct {
      u32 next, prev; /* in a free list */
    };
    void *owner; /* USED */
  };
};
_Static_assert(sizeof(struct frame) == 16, "one 256th of a frame");

static struct frame *frames;
static u64 frame_count;  /* numbers are below this */
static u64 scarce;       /* frames_scarce: fewer free ones than that */
static u64 total_frames; /* given out to frames_init, less the books */

static struct spin lock; /* the next four */
static u32 free_heads[ORDERS];
static u64 free_blocks_frames; /* in all free blocks */
static u32 zero_list;          /* frames known to be zero, behind the stacks of the CPUs */
static u64 zero_count;

/* Each touched by its own CPU only; the counts are read by all. */
static struct cpu_frames {
  u32 n, n_zero;
  u32 any[CPU_FRAMES], zero[CPU_FRAMES];
} __attribute__((aligned(128))) cpu_frames[MAX_CPUS];

static struct cpu_frames *mine(void) { return &cpu_frames[thread_current()->cpu % MAX_CPUS]; }

/* FREE comes and goes with the lock held only, but others' states are looked at without theirs. */
static enum frame_state state_of(u64 f) {
  return __atomic_load_n(&frames[f].state, __ATOMIC_RELAXED);
}
static void set_state(u64 f, enum frame_state s) {
  __atomic_store_n(&frames[f].state, (u8)s, __ATOMIC_RELAXED);
}

static struct frame *frame_at(paddr p) { return &frames[p >> PAGE_SHIFT]; }
static paddr address(u64 f) { return (paddr)f << PAGE_SHIFT; }

/* A count that changes with the lock held and is read without. */
static void add(u64 *count, i64 n) { __atomic_store_n(count, *count + (u64)n, __ATOMIC_RELAXED); }

/* ---- blocks, with the lock held -------------------------------------------------------------- */

static void block_push(u32 f, unsigned order) {
  u32 next = free_heads[order];
  set_state(f, FRAME_FREE);
  frames[f].order = (u8)order;
  frames[f].next = next;
  frames[f].prev = 0;
  if (next)
    frames[next].prev = f;
  free_heads[order] = f;
  add(&free_blocks_frames, 1L << order);
}

static void block_remove(u32 f) {
  struct frame *b = &frames[f];
  if (b->prev)
    frames[b->prev].next = b->next;
  else
    free_heads[b->order] = b->next;
  if (b->next)
    frames[b->next].prev = b->prev;
  set_state(f, FRAME_CACHED);
  add(&free_blocks_frames, -(1L << b->order));
}

static bool is_free_block(u64 f, unsigned order) {
  return f < frame_count && state_of(f) == FRAME_FREE && frames[f].order == order;
}

static void block_free(u32 f, unsigned order) {
  while (order + 1 < ORDERS && is_free_block(f ^ 1u << order, order)) {
    u32 buddy = f ^ 1u << order;
    block_remove(buddy);
    f &= ~(1u << order);
    order++;
  }
  block_push(f, order);
}

/* A block of 2^order frames, cut from the smallest that is large enough; 0. */
static u32 block_alloc(unsigned order) {
  unsigned k = order;
  while (k < ORDERS && free_heads[k] == 0)
    k++;
  if (k >= ORDERS)
    return 0;
  u32 f = free_heads[k];
  block_remove(f);
  while (k-- > order)
    block_push(f + (1u << k), k);
  return f;
}

/* Frees n frames from f on as the largest aligned blocks that fit. */
static void range_free(u32 f, u64 n) {
  while (n > 0) {
    unsigned order = f ? (unsigned)__builtin_ctz(f) : ORDERS - 1;
    if (order >= ORDERS)
      order = ORDERS - 1;
    while (1UL << order > n)
      order--;
    block_free(f, order);
    f += 1u << order;
    n -= 1UL << order;
  }
}

/* ---- start-up -------------------------------------------------------------------------------- */

/* Boot code reaches 4 GiB; what lies higher is given out when the final direct map is there. */
#define FIRST_HIGH (GIB(4) >> PAGE_SHIFT)
static paddr zeros;
static const struct frame_range *boot_ranges;
static unsigned boot_range_count;

static u64 first_frame(const struct frame_range *r) {
  u64 f = round_up(r->from, PAGE_SIZE) >> PAGE_SHIFT;
  return f ? f : 1;
}

static u64 frames_in(const struct frame_range *r) {
  u64 first = first_frame(r), end = r->to >> PAGE_SHIFT;
  return end > first ? end - first : 0;
}

/* Gives out what of r lies in [lo, hi), without its first `taken` frames. */
static void give_range(const struct frame_range *r, u64 taken, u64 lo, u64 hi) {
  u64 from = max_u64(first_frame(r) + taken, lo), to = min_u64(r->to >> PAGE_SHIFT, hi);
  if (from >= to)
    return;
  range_free((u32)from, to - from);
  total_frames += to - from;
  scarce = min_u64(total_frames / SCARCE_PART, SCARCE_MAX);
}

void frames_init(const struct frame_range *ranges, unsigned n, paddr top) {
  frame_count = top >> PAGE_SHIFT;
  for (unsigned i = 0; i < n; i++)
    frame_count = max_u64(frame_count, ranges[i].to >> PAGE_SHIFT);
  u64 books = round_up(frame_count * sizeof(struct frame), PAGE_SIZE) >> PAGE_SHIFT;
  books++; /* and the frame of zeros behind them */
  unsigned home = 0;
  while (home < n &&
         (frames_in(&ranges[home]) <= books || first_frame(&ranges[home]) + books > FIRST_HIGH))
    home++;
  kassert(home < n && frame_count <= UINT32_MAX);
  frames = phys_ptr(address(first_frame(&ranges[home])));
  memset(frames, 0, books * PAGE_SIZE);
  zeros = address(first_frame(&ranges[home]) + books - 1);
  boot_ranges = ranges;
  boot_range_count = n;
  for (unsigned i = 0; i < n; i++)
    give_range(&ranges[i], i == home ? books : 0, 0, FIRST_HIGH);
}

void frames_init_high(void) {
  for (unsigned i = 0; i < boot_range_count; i++)
    give_range(&boot_ranges[i], 0, FIRST_HIGH, frame_count);
}

void frames_add(paddr from, paddr to) {
  const struct frame_range r = {from, to};
  kassert(to >> PAGE_SHIFT <= frame_count);
  spin_lock(&lock);
  give_range(&r, 0, 0, frame_count);
  spin_unlock(&lock);
}

/* ---- one frame ------------------------------------------------------------------------------- */

#ifdef FRAMES_CHECK /* in tests: nobody may use a free frame or lie about zeros */
static void poison(u32 f) { memset(phys_ptr(address(f)), 0xa5, PAGE_SIZE); }
static void check_zero(u32 f) {
  const u64 *w = phys_ptr(address(f));
  for (unsigned i = 0; i < PAGE_SIZE / 8; i++)
    kassert(w[i] == 0);
}
#else
static void poison(u32 f) { (void)f; }
static void check_zero(u32 f) { (void)f; }
#endif

static void clear(u32 f) { page_clear(address(f)); }

static u32 zero_list_pop(void) {
  u32 f = zero_list;
  zero_list = frames[f].next;
  add(&zero_count, -1);
  return f;
}

static void zero_list_push(u32 f) {
  frames[f].next = zero_list;
  zero_list = f;
  add(&zero_count, 1);
}

static void refill(struct cpu_frames *c) {
  spin_lock(&lock);
  while (c->n < CPU_BATCH) {
    u32 f = block_alloc(0);
    if (f == 0)
      break;
    c->any[c->n++] = f;
  }
  while (c->n == 0 && zero_count > 0)
    c->any[c->n++] = zero_list_pop();
  spin_unlock(&lock);
}

static void refill_zeroed(struct cpu_frames *c) {
  if (__atomic_load_n(&zero_count, __ATOMIC_RELAXED) == 0)
    return;
  spin_lock(&lock);
  while (c->n_zero < CPU_BATCH && zero_count > 0)
    c->zero[c->n_zero++] = zero_list_pop();
  spin_unlock(&lock);
}

static paddr hand_out(u32 f) {
  kassert(state_of(f) == FRAME_CACHED);
  set_state(f, FRAME_USED);
  frames[f].refs = 1;
  return address(f);
}

/* A frame with any contents; 0. */
static u32 take(struct cpu_frames *c) {
  if (unlikely(c->n == 0)) {
    refill(c);
    if (c->n == 0)
      return c->n_zero ? c->zero[--c->n_zero] : 0;
  }
  return c->any[--c->n];
}

paddr frame_alloc(void) {
  u32 f = take(mine());
  return likely(f) ? hand_out(f) : 0;
}

paddr frame_alloc_zeroed(void) {
  struct cpu_frames *c = mine();
  if (c->n_zero == 0)
    refill_zeroed(c);
  if (likely(c->n_zero > 0)) {
    u32 f = c->zero[--c->n_zero];
    check_zero(f);
    return hand_out(f);
  }
  u32 f = take(c);
  if (f == 0)
    return 0;
  clear(f);
  return hand_out(f);
}

static void retire(u32 f) {
  kassert(state_of(f) == FRAME_USED);
  set_state(f, FRAME_CACHED);
}

static void spill(struct cpu_frames *c) {
  spin_lock(&lock);
  while (c->n > CPU_FRAMES - CPU_BATCH)
    block_free(c->any[--c->n], 0);
  spin_unlock(&lock);
}

static void give_back(u32 f) {
  struct cpu_frames *c = mine();
  retire(f);
  poison(f);
  if (unlikely(c->n == CPU_FRAMES))
    spill(c);
  c->any[c->n++] = f;
}

static void spill_zeroed(struct cpu_frames *c) {
  spin_lock(&lock);
  while (c->n_zero > CPU_FRAMES - CPU_BATCH)
    zero_list_push(c->zero[--c->n_zero]);
  spin_unlock(&lock);
}

static void keep_zeroed(u32 f) {
  struct cpu_frames *c = mine();
  if (unlikely(c->n_zero == CPU_FRAMES))
    spill_zeroed(c);
  c->zero[c->n_zero++] = f;
}

void frame_free_zeroed(paddr p) {
  u32 f = (u32)(p >> PAGE_SHIFT);
  kassert(frame_refs(p) == 1);
  check_zero(f);
  retire(f);
  keep_zeroed(f);
}

/* Memory that is ready to hand out as zeroes: some, but a fixed part of all at most. */
static u64 zero_goal(void) { return min_u64(1024, total_frames / 16); }

bool frames_zero_ahead(void) {
  struct cpu_frames *c = mine();
  if (c->n_zero + __atomic_load_n(&zero_count, __ATOMIC_RELAXED) >= zero_goal())
    return false;
  if (c->n == 0)
    refill(c);
  if (c->n == 0)
    return false;
  u32 f = c->any[--c->n];
  clear(f);
  keep_zeroed(f);
  return true;
}

/* ---- runs ------------------------------------------------------------------------------------ */

/* Everything that waits on this CPU's stacks or as zeroed goes back to the blocks. */
static void flush_stacks(struct cpu_frames *c) {
  while (c->n > 0)
    block_free(c->any[--c->n], 0);
  while (c->n_zero > 0)
    block_free(c->zero[--c->n_zero], 0);
  while (zero_count > 0)
    block_free(zero_list_pop(), 0);
}

void frames_drain(void) {
  spin_lock(&lock);
  flush_stacks(mine());
  spin_unlock(&lock);
}

paddr frames_alloc_run(size_t n, size_t align) {
  unsigned order = 0;
  while (order < ORDERS && (1UL << order < n || PAGE_SIZE << order < align))
    order++;
  if (n == 0 || order >= ORDERS)
    return 0;
  spin_lock(&lock);
  u32 f = block_alloc(order);
  if (f == 0) {
    flush_stacks(mine());
    f = block_alloc(order);
  }
  if (f && n < 1UL << order)
    range_free(f + (u32)n, (1UL << order) - n);
  spin_unlock(&lock);
  if (f == 0)
    return 0;
  for (u32 i = f; i < f + n; i++) {
    set_state(i, FRAME_USED);
    frames[i].refs = 1;
  }
  memset(phys_ptr(address(f)), 0, n * PAGE_SIZE);
  return address(f);
}

void frames_free_run(paddr p, size_t n) {
  u32 f = (u32)(p >> PAGE_SHIFT);
  for (u32 i = f; i < f + n; i++) {
    kassert(frame_refs(address(i)) == 1);
    retire(i);
    poison(i);
  }
  spin_lock(&lock);
  range_free(f, n);
  spin_unlock(&lock);
}

/* ---- references ------------------------------------------------------------------------------ */

void frame_get(paddr p) { __atomic_add_fetch(&frame_at(p)->refs, 1, __ATOMIC_RELAXED); }

bool frame_put(paddr p) {
  struct frame *f = frame_at(p);
  /* Nobody can add a reference to a frame whose only one is ours. */
  if (__atomic_load_n(&f->refs, __ATOMIC_ACQUIRE) != 1 &&
      __atomic_sub_fetch(&f->refs, 1, __ATOMIC_ACQ_REL) != 0)
    return false;
  give_back((u32)(p >> PAGE_SHIFT));
  return true;
}

u32 frame_refs(paddr p) { return __atomic_load_n(&frame_at(p)->refs, __ATOMIC_ACQUIRE); }

paddr frame_of_zeros(void) { return zeros; }

void frame_set_owner(paddr p, void *owner) { frame_at(p)->owner = owner; }
void *frame_owner(paddr p) { return frame_at(p)->owner; }

/* ---- accounts -------------------------------------------------------------------------------- */

u64 frames_total(void) { return total_frames * PAGE_SIZE; }

bool frames_scarce(void) {
  return __atomic_load_n(&free_blocks_frames, __ATOMIC_RELAXED) +
             __atomic_load_n(&zero_count, __ATOMIC_RELAXED) <
         scarce;
}

u64 frames_used(void) {
  u64 n = __atomic_load_n(&free_blocks_frames, __ATOMIC_RELAXED) +
          __atomic_load_n(&zero_count, __ATOMIC_RELAXED);
  for (unsigned i = 0; i < plat_ncpus(); i++)
    n += __atomic_load_n(&cpu_frames[i].n, __ATOMIC_RELAXED) +
         __atomic_load_n(&cpu_frames[i].n_zero, __ATOMIC_RELAXED);
  return n < total_frames ? (total_frames - n) * PAGE_SIZE : 0;
}
