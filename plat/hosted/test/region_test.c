/* SPDX-License-Identifier: MIT */
/*
 * Random model check of regions: fork trees with maps, unmaps, protections, discards, writes,
 * shared objects and exits, compared page by page with a model, holes and protections included. A
 * page of the model is a few words; all other bytes of a real page must be zero, so that whatever a
 * dead region left behind shows up.
 *
 * With an odd SEED regions look like those of real programs, few mappings that rarely change, so
 * that warm regions are taken from the pool; with an even one they are shredded.
 *
 * region_test MODE SEED OPS. With REGION_TEST_STRICT=N, everything is compared after every
 * operation from the N-th on, to find the one that went wrong.
 */
#define _GNU_SOURCE
#include "plat/hosted/pagemap.h"
#include "plat/hosted/seg.h"
#include "plat/hosted/test/support.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#define WORDS 4
static const unsigned word_at[WORDS] = {0, 77, 300, 511};

#define STACK_HI 0x3ffff000u
#define STACK_PAGES 24
#define OBJECTS 3
#define OBJECT_PAGES 48
#define MAX_REGIONS 10

/* Parts of a region that the model follows. */
static const struct window {
  u32 lo, pages;
  enum region_class class;
} windows[] = {
    {0x20000000u, 600, REGION_HOT},
    {STACK_HI - STACK_PAGES * 4096u, STACK_PAGES, REGION_HOT},
    {0x40000000u, 9000, REGION_COLD},
    {0x7ff00000u, 700, REGION_COLD}, /* across a GiB */
    {0xfff00000u - 64 * 4096u, 64, REGION_COLD},
};
#define NWINDOWS ARRAY_LEN(windows)
#define TOTAL_PAGES (600 + STACK_PAGES + 9000 + 700 + 64)

enum kind { NOTHING, PRIVATE, SHARED };
struct mpage {
  u8 kind, prot, object;
  u8 object_page;
  u64 words[WORDS];
};

struct model {
  struct region *real;
  struct mpage *pages;
};

static struct model regions[MAX_REGIONS];
static struct memobj *objects[OBJECTS];
static u64 object_words[OBJECTS][OBJECT_PAGES][WORDS];
static bool tidy;
static u64 strict = UINT64_MAX;
static u64 op_count;
static u64 checked, thaw_steps, parked_seen, spares_seen, claims;

/* ---- reporting ------------------------------------------------------------------------------- */

static char last_ops[16][128];

static void note(const char *format, ...) {
  va_list ap;
  va_start(ap, format);
  vsnprintf(last_ops[op_count % 16], sizeof(last_ops[0]), format, ap);
  va_end(ap);
}

static _Noreturn void fail(const char *what, struct model *m, u32 off) {
  printf("FAIL %s: region %d offset %x after %lu operations\n", what, (int)(m - regions), off,
         (unsigned long)op_count);
  for (u64 i = op_count >= 15 ? op_count - 15 : 0; i <= op_count; i++)
    printf("  %lu: %s\n", (unsigned long)i, last_ops[i % 16]);
  exit(1);
}

/* ---- pages ----------------------------------------------------------------------------------- */

static u32 window_index(unsigned w) {
  u32 sum = 0;
  for (unsigned i = 0; i < w; i++)
    sum += windows[i].pages;
  return sum;
}

static u64 *words_of(struct mpage *p) {
  return p->kind == SHARED ? object_words[p->object][p->object_page] : p->words;
}

static bool read_page(struct model *m, u32 off, u64 *buf) {
  struct iovec local = {buf, 4096}, remote = {(void *)(region_base(m->real) + off), 4096};
  return process_vm_readv(getpid(), &local, 1, &remote, 1, 0) == 4096;
}

static bool page_equals(const u64 *page, const u64 *words) {
  unsigned w = 0;
  for (unsigned i = 0; i < 512; i++) {
    u64 want = 0;
    if (w < WORDS && word_at[w] == i)
      want = words[w++];
    if (page[i] != want)
      return false;
  }
  return true;
}

static void check_page(struct model *m, unsigned w, u32 i) {
  static _Alignas(4096) u64 buf[512];
  u32 off = windows[w].lo + i * 4096;
  struct mpage *p = &m->pages[window_index(w) + i];
  checked++;
  const struct extent *e = extents_at(&m->real->map, off);
  if ((e != NULL) != (p->kind != NOTHING) || (e && e->prot != p->prot))
    fail("the books are wrong", m, off);
  bool readable = read_page(m, off, buf);
  if (p->kind == NOTHING && parked_at(m->real, off))
    parked_seen++;
  else if (readable != (p->kind != NOTHING && p->prot != 0))
    fail(readable ? "readable but should not be" : "not readable", m, off);
  if (readable && p->kind != NOTHING && !page_equals(buf, words_of(p)))
    fail("wrong contents", m, off);
}

static void write_word(struct model *m, u32 off, struct mpage *p) {
  unsigned w = below(WORDS);
  u64 value = rnd();
  struct iovec local = {&value, 8};
  struct iovec remote = {(void *)(region_base(m->real) + off + word_at[w] * 8), 8};
  bool done = process_vm_writev(getpid(), &local, 1, &remote, 1, 0) == 8;
  if (p->kind == NOTHING && parked_at(m->real, off))
    return;
  if (done != (p->kind != NOTHING && p->prot == 3))
    fail(done ? "writable but should not be" : "not writable", m, off);
  if (done)
    words_of(p)[w] = value;
}

static void check_all(struct model *m) {
  for (unsigned w = 0; w < NWINDOWS; w++)
    for (u32 i = 0; i < windows[w].pages; i++)
      check_page(m, w, i);
}

static int check_mapped(void *arg, u64 from, u64 to, int prot) {
  static unsigned char present[0x100000];
  struct model *m = arg;
  (void)prot;
  if (mincore((void *)(m->real->base + from), to - from, present))
    fail("a hole in a live segment", m, (u32)from);
  return 0;
}

/* What live segments take for granted: their spans are mapped. */
static void check_spans(struct model *m) {
  for (u32 i = 0; i < m->real->n_segs; i++)
    if (!m->real->segs[i]->frozen)
      seg_each_piece(m->real, m->real->segs[i], check_mapped, m);
}

/* ---- operations ------------------------------------------------------------------------------ */

struct range {
  unsigned w;
  u32 first, n, off, len;
  struct mpage *pages;
};

static struct range random_range(struct model *m) {
  struct range r;
  r.w = chance(25) ? 0 : chance(10) ? 1 : chance(80) ? 2 : chance(70) ? 3 : 4;
  u32 total = windows[r.w].pages;
  u32 most = chance(60) ? 20 : chance(70) ? 200 : 3000;
  r.n = 1 + below(most < total ? most : total);
  r.first = below(total - r.n + 1);
  if (r.w == 2 && chance(50)) /* dense at the bottom, as real programs are */
    r.first = below(total / 8) < total - r.n ? below(total / 8) % (total - r.n + 1) : 0;
  r.off = windows[r.w].lo + r.first * 4096;
  r.len = r.n * 4096;
  r.pages = &m->pages[window_index(r.w) + r.first];
  return r;
}

static int random_prot(void) { return chance(70) ? 3 : chance(50) ? 1 : 0; }

static void op_map(struct model *m) {
  struct range r = random_range(m);
  int prot = random_prot();
  note("map region %d off %x pages %u prot %d", (int)(m - regions), r.off, r.n, prot);
  if (region_map(m->real, r.off, r.len, prot, windows[r.w].class))
    fail("map", m, r.off);
  for (u32 i = 0; i < r.n; i++)
    r.pages[i] = (struct mpage){.kind = PRIVATE, .prot = (u8)prot};
}

static void map_pages(struct model *m, unsigned w, u32 first, u32 n, int prot) {
  if (region_map(m->real, windows[w].lo + first * 4096, n * 4096, prot, windows[w].class))
    fail("map", m, windows[w].lo);
  for (u32 i = 0; i < n; i++)
    m->pages[window_index(w) + first + i] = (struct mpage){.kind = PRIVATE, .prot = (u8)prot};
}

static void op_map_object(struct model *m) {
  struct range r = random_range(m);
  u8 o = (u8)below(OBJECTS);
  u32 n = r.n < OBJECT_PAGES ? r.n : OBJECT_PAGES;
  u32 at = below(OBJECT_PAGES - n + 1);
  int prot = chance(70) ? 3 : 1;
  note("map object %u at %u region %d off %x pages %u prot %d", o, at, (int)(m - regions), r.off, n,
       prot);
  if (region_map_object(m->real, r.off, n * 4096, prot, objects[o], at * 4096))
    fail("map object", m, r.off);
  for (u32 i = 0; i < n; i++)
    r.pages[i] =
        (struct mpage){.kind = SHARED, .prot = (u8)prot, .object = o, .object_page = (u8)(at + i)};
}

static void op_unmap(struct model *m) {
  struct range r = random_range(m);
  note("unmap region %d off %x pages %u", (int)(m - regions), r.off, r.n);
  if (region_unmap(m->real, r.off, r.len, chance(50)))
    fail("unmap", m, r.off);
  memset(r.pages, 0, r.n * sizeof(*r.pages));
}

static void op_protect(struct model *m) {
  struct range r = random_range(m);
  int prot = random_prot();
  note("protect region %d off %x pages %u prot %d", (int)(m - regions), r.off, r.n, prot);
  if (region_protect(m->real, r.off, r.len, prot))
    fail("protect", m, r.off);
  for (u32 i = 0; i < r.n; i++)
    if (r.pages[i].kind != NOTHING)
      r.pages[i].prot = (u8)prot;
}

static void op_discard(struct model *m) {
  struct range r = random_range(m);
  note("discard region %d off %x pages %u", (int)(m - regions), r.off, r.n);
  if (region_discard(m->real, r.off, r.len))
    fail("discard", m, r.off);
  for (u32 i = 0; i < r.n; i++)
    if (r.pages[i].kind == PRIVATE)
      memset(r.pages[i].words, 0, sizeof(r.pages[i].words));
}

static void op_write(struct model *m) {
  struct range r = random_range(m);
  note("write region %d off %x pages %u", (int)(m - regions), r.off, r.n);
  for (u32 i = 0; i < r.n; i += 1 + below(6))
    write_word(m, r.off + i * 4096, &r.pages[i]);
}

/* What an allocator does: the same small range again and again, until it is parked, and beyond. */
static void op_bounce(struct model *m) {
  unsigned w = chance(50) ? 0 : 3;
  u32 n = 1 + below(PARKED_PAGES_MAX + 1), first = 8 * below(6), rounds = 1 + below(6);
  struct mpage *pages = &m->pages[window_index(w) + first];
  u32 off = windows[w].lo + first * 4096;
  note("bounce region %d off %x pages %u, %u times", (int)(m - regions), off, n, rounds);
  for (u32 k = 0; k < rounds; k++) {
    map_pages(m, w, first, n, 3);
    for (u32 i = 0; i < n; i++) {
      check_page(m, w, first + i);
      write_word(m, off + i * 4096, &pages[i]);
    }
    if (region_unmap(m->real, off, n * 4096, true))
      fail("unmap", m, off);
    memset(pages, 0, n * sizeof(*pages));
  }
  if (chance(50))
    map_pages(m, w, first, n, 3);
}

static struct model *free_slot(void) {
  for (unsigned i = 0; i < MAX_REGIONS; i++)
    if (!regions[i].real)
      return &regions[i];
  return NULL;
}

static void start(struct model *m, struct region *real) {
  m->real = real;
  m->pages = calloc(TOTAL_PAGES, sizeof(*m->pages));
}

/* Pages below the stack pointer come out as zeros or as the parent's. */
static void settle_dead_stack(struct model *m, u32 sp) {
  static _Alignas(4096) u64 buf[512];
  for (u32 i = 0; i < STACK_PAGES; i++) {
    u32 off = windows[1].lo + i * 4096;
    struct mpage *p = &m->pages[window_index(1) + i];
    if (off + 4096 > sp - 128 || p->kind != PRIVATE || p->prot == 0 || !read_page(m, off, buf) ||
        page_equals(buf, p->words))
      continue;
    memset(p->words, 0, sizeof(p->words));
  }
}

static void op_fork(struct model *m) {
  struct model *c = free_slot();
  struct region *real;
  if (!c)
    return;
  bool on_stack = chance(70);
  u32 sp = windows[1].lo + below(STACK_PAGES * 4096);
  bool plain = true; /* a protected page there is not what a stack is */
  for (u32 i = 0; i < STACK_PAGES; i++)
    plain &= m->pages[window_index(1) + i].prot == 3;
  struct region_fork_args a = {.sp = sp};
  if (on_stack && plain) {
    a.stack_lo = windows[1].lo;
    a.stack_hi = STACK_HI;
  }
  note("fork region %d to %d sp %x lo %x", (int)(m - regions), (int)(c - regions), sp, a.stack_lo);
  if (region_fork(m->real, &a, &real))
    fail("fork", m, 0);
  start(c, real);
  memcpy(c->pages, m->pages, TOTAL_PAGES * sizeof(*c->pages));
  if (a.stack_hi)
    settle_dead_stack(c, sp);
  if (chance(10)) {
    check_all(c);
    check_all(m);
  }
}

static void op_destroy(struct model *m) {
  note("destroy region %d", (int)(m - regions));
  region_destroy(m->real);
  free(m->pages);
  *m = (struct model){0};
}

static void op_create(void) {
  struct model *m = free_slot();
  struct region *real;
  if (!m)
    return;
  note("create region %d", (int)(m - regions));
  if (region_create(1 + below(2), &real))
    fail("create", m, 0);
  start(m, real);
  if (tidy) {
    map_pages(m, 0, 3, 40, 3);
    map_pages(m, 1, 0, STACK_PAGES, 3);
    map_pages(m, 2, 0, 1500 + below(1000), 3);
    map_pages(m, 3, 0, 100 + below(500), 3);
  }
}

static struct seg *live_with_spare(struct region *r) {
  for (u32 i = 0; i < r->n_segs; i++)
    if (r->segs[i]->spare)
      return r->segs[i];
  return NULL;
}

/* A few steps of the thaw thread. */
static void op_thaw(struct model *m) {
  u64 part = 4096ul << below(10);
  for (unsigned i = 0; i < MAX_REGIONS; i++)
    if (regions[i].real && chance(30))
      region_begin(regions[i].real); /* late, so that the parent has written something */
  thaw_round();
  u32 steps = chance(20) ? 1000 : 1 + below(8);
  note("thaw region %d in parts of %lx, %u steps", (int)(m - regions), (unsigned long)part, steps);
  int left = 1;
  while (steps-- && left > 0) {
    left = seg_thaw_step(m->real, part);
    thaw_steps++;
  }
  if (left < 0)
    fail("thaw", m, 0);
  spares_seen += live_with_spare(m->real) != NULL;
  if (chance(10))
    check_all(m);
}

/* What the thaw thread does while others share the segment. The host may be short of memory. */
static void op_claim(struct model *m) {
  struct region *r = m->real;
  note("claim in region %d", (int)(m - regions));
  for (u32 i = 0; i < r->n_segs; i++) {
    struct claim c;
    for (u64 at = below(4) * 0x20000000u; seg_claim_step(r, r->segs[i], &at, &c);) {
      if (chance(20))
        c.len = chance(50) ? 0 : c.len / 2 & ~4095ul;
      seg_claim_fill(&c);
      claims += c.len != 0;
    }
  }
  if (chance(10))
    check_all(m);
}

static struct model *random_region(void) {
  for (unsigned tries = 0; tries < 100; tries++) {
    struct model *m = &regions[below(MAX_REGIONS)];
    if (m->real)
      return m;
  }
  return NULL;
}

static void step(void) {
  struct model *m = random_region();
  u32 what = below(100);
  if (tidy && what >= 1 && what < 38 && !chance(5))
    what = 38 + below(62);
  if (!m || what < 1)
    op_create();
  else if (what < 14)
    op_map(m);
  else if (what < 17)
    op_map_object(m);
  else if (what < 25)
    op_unmap(m);
  else if (what < 32)
    op_protect(m);
  else if (what < 38)
    op_discard(m);
  else if (what < 78)
    op_write(m);
  else if (what < 82)
    op_thaw(m);
  else if (what < 84)
    op_claim(m);
  else if (what < 87)
    op_bounce(m);
  else if (what < 95)
    op_fork(m);
  else if (free_slot() == NULL || what < 97)
    op_destroy(m);
  for (unsigned i = 0; i < 12; i++) {
    struct model *v = random_region();
    if (v) {
      unsigned w = below(NWINDOWS);
      check_page(v, w, below(windows[w].pages));
    }
  }
  m = random_region();
  if (m && op_count % 200 == 0)
    check_all(m);
  if (m)
    check_spans(m);
  for (unsigned i = 0; op_count >= strict && i < MAX_REGIONS; i++)
    if (regions[i].real) {
      check_spans(&regions[i]);
      check_all(&regions[i]);
    }
  op_count++;
}

/* ---- a case that random operations hardly ever meet ------------------------------------------ */

static void must(bool ok, const char *what) {
  if (!ok) {
    printf("FAIL %s\n", what);
    exit(1);
  }
}

/* A warm region knows a segment that its owner has thawed since, and that reaches further there.
   What the next fork takes off the warm region is the segment's extent, not its span. */
static void warm_region_of_thawed_segment(void) {
  enum { COLD = 0x50000000, COLD_LEN = 6 << 20, BEHIND = COLD + COLD_LEN + 0x2000, LEN = 0x8000 };
  struct region_fork_args a = {.sp = 0};
  struct region *owner, *child, *other, *next;
  must(region_create(7, &owner) == 0, "create");
  must(region_map(owner, COLD, COLD_LEN, 3, REGION_COLD) == 0, "map");
  must(region_map(owner, BEHIND, LEN, 3, REGION_HOT) == 0, "map behind");
  *(volatile u64 *)(region_base(owner) + COLD) = 1;
  must(region_fork(owner, &a, &child) == 0, "fork");
  region_destroy(child); /* warm from now on */
  must(region_unmap(owner, BEHIND, LEN, false) == 0, "unmap");
  while (seg_thaw_step(owner, THAW_PART) > 0)
    ;
  must(region_create(7, &other) == 0, "create another");
  must(region_map(other, BEHIND, LEN, 3, REGION_HOT) == 0, "map in another");
  must(region_fork(other, &a, &next) == 0, "fork into the warm region");
  must(next == child, "the warm region is used");
  for (u32 off = 0; off < LEN; off += 4096)
    must(*(volatile u64 *)(region_base(next) + BEHIND + off) == 0, "contents");
  region_destroy(next);
  region_destroy(other);
  region_destroy(owner);
}

static bool readable(struct region *r, u32 off) {
  u64 word;
  struct iovec local = {&word, 8}, remote = {(void *)(region_base(r) + off), 8};
  return process_vm_readv(getpid(), &local, 1, &remote, 1, 0) == 8;
}

/* A range that is mapped and unmapped all the time keeps its host mapping; everything that could
   give it to somebody else takes it away. */
static void parked_ranges(void) {
  enum { OFF = 0x20000000, LEN = 0x4000 };
  struct region_fork_args a = {.sp = 0};
  struct region *r, *child;
  must(region_create(9, &r) == 0, "create");
  must(region_map(r, OFF + LEN, LEN, 3, REGION_HOT) == 0, "map a neighbour");
  for (int way = 0; way < 5; way++) {
    for (int i = 0; i < 6; i++) {
      must(region_map(r, OFF, LEN, 3, REGION_HOT) == 0, "map");
      must(*(volatile u64 *)(region_base(r) + OFF) == 0, "reads as zeros");
      *(volatile u64 *)(region_base(r) + OFF) = 0x5ec2e7;
      must(region_unmap(r, OFF, LEN, true) == 0, "unmap");
      must(parked_at(r, OFF) == (i >= 2), "parked from the third time on");
      must(readable(r, OFF) == (i >= 2), "not readable before");
    }
    switch (way) {
    case 0: /* fork: not for the child */
      must(region_fork(r, &a, &child) == 0, "fork");
      must(!readable(child, OFF), "the child does not have it");
      region_destroy(child);
      must(parked_at(r, OFF), "the parent still has");
      must(region_unmap(r, OFF, 2 * LEN, false) == 0, "unmap more");
      must(region_map(r, OFF + LEN, LEN, 3, REGION_HOT) == 0, "map the neighbour anew");
      break;
    case 1: /* a part of it mapped, read only */
      must(region_map(r, OFF + 0x1000, 0x1000, 1, REGION_HOT) == 0, "map a part");
      must(*(volatile u64 *)(region_base(r) + OFF + 0x1000) == 0, "the part reads as zeros");
      must(region_unmap(r, OFF, LEN, false) == 0, "unmap the part");
      break;
    case 2: /* all of it, read only */
      must(region_map(r, OFF, LEN, 1, REGION_HOT) == 0, "map read-only");
      must(*(volatile u64 *)(region_base(r) + OFF) == 0, "reads as zeros");
      must(region_unmap(r, OFF, LEN, false) == 0, "unmap");
      break;
    case 3: /* unmapped again though nothing is there */
      must(region_unmap(r, OFF, LEN, false) == 0, "unmap twice");
      break;
    default: /* a segment, which grows over holes */
      must(region_map(r, 0x50000000, 6 << 20, 3, REGION_COLD) == 0, "map a segment");
    }
    must(!parked_at(r, OFF) && !readable(r, OFF), "gone");
  }
  region_destroy(r);
}

/* ---- what must be left at the end: nothing --------------------------------------------------- */

static void finish(const char *mode) {
  for (unsigned i = 0; i < MAX_REGIONS; i++)
    if (regions[i].real) {
      check_all(&regions[i]);
      op_destroy(&regions[i]);
    }
  thaw_round(); /* forgets the segments that are gone */
  pool_drain();
  for (unsigned i = 0; i < OBJECTS; i++)
    memobj_put(objects[i]);
  bool clean = regions_bytes_used() == 0 && memobj_bytes_used() == 0 &&
               support_host_mappings() == 0 && slots_in_use() == 0;
  printf("%s region model %s: %lu operations, %lu pages compared, %lu thaw steps, %lu parked, %lu "
         "spares, %lu claims\n",
         clean ? "ok" : "FAIL", mode, (unsigned long)op_count, (unsigned long)checked,
         (unsigned long)thaw_steps, (unsigned long)parked_seen, (unsigned long)spares_seen,
         (unsigned long)claims);
  if (!clean)
    printf("FAIL something is left: %lu bytes anonymous, %lu in objects, %u mappings, %u slots\n",
           (unsigned long)regions_bytes_used(), (unsigned long)memobj_bytes_used(),
           support_host_mappings(), slots_in_use());
  printf("region_test: %d passed, %d failed\n", clean, !clean);
  exit(!clean);
}

int main(int argc, char **argv) {
  static const char *const modes[] = {"auto", "copy", "eager", "lazy"};
  if (argc != 4) {
    fputs("usage: region_test auto|copy|eager|lazy SEED OPERATIONS\n", stderr);
    return 2;
  }
  for (unsigned i = 0; i < 4; i++)
    if (strcmp(argv[1], modes[i]) == 0)
      fork_mode = (enum fork_mode)i;
  support_seed = strtoull(argv[2], NULL, 0) * 0x9e3779b97f4a7c15u | 1;
  for (int i = 0; i < 20; i++)
    rnd();
  if (getenv("REGION_TEST_STRICT"))
    strict = strtoull(getenv("REGION_TEST_STRICT"), NULL, 0);
  tidy = strtoull(argv[2], NULL, 0) % 2;
  support_init();
  for (unsigned i = 0; i < OBJECTS; i++)
    if (memobj_create(OBJECT_PAGES * 4096, &objects[i]))
      return 1;
  if (fork_mode == FORK_AUTO) {
    warm_region_of_thawed_segment();
    parked_ranges();
  }
  for (u64 n = strtoull(argv[3], NULL, 0); n > 0; n--)
    step();
  finish(argv[1]);
}
