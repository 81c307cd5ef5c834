/* SPDX-License-Identifier: MIT */
/*
 * Random model check of regions: fork trees with maps, unmaps, protections, discards, writes,
 * shared objects and exits, on several CPUs and now and then without memory, compared page by page
 * with a model through a software MMU (mmu.h), whose TLBs forget nothing by themselves. A page of
 * the model is a few words; all other bytes of a real page must be zero. Free frames are poisoned.
 * References are counted anew at intervals.
 *
 * region_test SEED OPS. With an odd seed regions have few mappings that rarely change; with bit 1
 * of the seed there is one CPU instead of three. With REGION_TEST_STRICT=N everything is compared
 * after every operation from the N-th on.
 */
#include "kernel/errno.h"
#include "plat/pc/test/audit.h"
#include "plat/pc/test/mmu.h"
#include "plat/pc/test/support.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MEMORY MIB(192)
#define WORDS 4
static const unsigned word_at[WORDS] = {0, 77, 300, 511};

#define STACK_HI 0x3ffff000u
#define STACK_PAGES 24
#define OBJECTS 3
#define OBJECT_PAGES 700
#define MAX_REGIONS 10

/* Parts of a region that the model follows. */
static const struct window {
  u32 lo, pages;
} windows[] = {
    {0x20000000u, 600},
    {STACK_HI - STACK_PAGES * 4096u, STACK_PAGES},
    {0x40000000u, 9000},
    {0x7ff00000u, 700}, /* across a GiB */
    {0xfff00000u - 64 * 4096u, 64},
};
#define NWINDOWS ARRAY_LEN(windows)
#define TOTAL_PAGES (600 + STACK_PAGES + 9000 + 700 + 64)

enum kind { NOTHING, PRIVATE, SHARED };
struct mpage {
  u8 kind, prot, object;
  u16 object_page;
  u64 words[WORDS];
};

struct model {
  struct region *real;
  struct mpage *pages;
};

static struct model regions[MAX_REGIONS];
static struct memobj *objects[OBJECTS];
static u32 object_pages[OBJECTS];
static u64 object_words[OBJECTS][OBJECT_PAGES][WORDS];
static bool tidy, starved;
static u64 strict = UINT64_MAX;
static u64 op_count, checked, refused, forks, warm_forks, lent, audits, starvations;

/* ---- randomness and reporting ---------------------------------------------------------------- */

static u64 state = 1;
static u64 rnd(void) {
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return state;
}
static u32 below(u32 n) { return (u32)(rnd() >> 20) % n; }
static bool chance(u32 percent) { return below(100) < percent; }

static char last_ops[16][128];

static void note(const char *format, ...) {
  va_list ap;
  va_start(ap, format);
  vsnprintf(last_ops[op_count % 16], sizeof(last_ops[0]), format, ap);
  va_end(ap);
}

static void print_history(void) {
  for (u64 i = op_count >= 15 ? op_count - 15 : 0; i <= op_count; i++)
    printf("  %lu: %s\n", (unsigned long)i, last_ops[i % 16]);
}

static _Noreturn void fail(const char *what, struct model *m, u32 off) {
  printf("FAIL %s: region %d offset %x after %lu operations\n", what, (int)(m - regions), off,
         (unsigned long)op_count);
  print_history();
  exit(1);
}

/* An operation failed: it may for lack of memory only. */
static bool failed(int err, const char *what, struct model *m) {
  if (err == 0)
    return false;
  if (err != -ENOMEM || !starved)
    fail(what, m, 0);
  refused++;
  return true;
}

/* ---- lack of memory -------------------------------------------------------------------------- */

static paddr hog[MEMORY / PAGE_SIZE];
static u32 n_hog;

static void feed(void) {
  while (n_hog > 0)
    frame_put(hog[--n_hog]);
  support_fail_kmalloc(-1);
  starved = false;
}

static void starve(void) {
  u32 left = below(40);
  starved = true;
  starvations++;
  tables_drain();
  if (chance(30)) {
    support_fail_kmalloc((int)below(6));
    return;
  }
  for (paddr p; (p = frame_alloc()) != 0;)
    hog[n_hog++] = p;
  while (left-- > 0 && n_hog > 0)
    frame_put(hog[--n_hog]);
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

/* Beyond the end of its object there is nothing. */
static bool there(const struct mpage *p) {
  return p->kind == PRIVATE || (p->kind == SHARED && p->object_page < object_pages[p->object]);
}

static void on_some_cpu(struct model *m) {
  if (chance(2))
    mmu_cpu(below(test_cpus));
  mmu_run(m->real);
}

static const u64 *access_page(struct model *m, u32 off, bool write) {
  on_some_cpu(m);
  return mmu_access(off, write);
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
  u32 off = windows[w].lo + i * 4096;
  struct mpage *p = &m->pages[window_index(w) + i];
  checked++;
  const u64 *page = access_page(m, off, false);
  bool want = there(p) && p->prot != 0;
  if (page == NULL && want && starved)
    return;
  if ((page != NULL) != want)
    fail(page ? "readable but should not be" : "not readable", m, off);
  if (page && !page_equals(page, words_of(p)))
    fail("wrong contents", m, off);
  if (chance(5) && region_is_object(m->real, off) != (p->kind == SHARED))
    fail("object or not", m, off);
}

static void write_word(struct model *m, u32 off, struct mpage *p) {
  unsigned w = below(WORDS);
  u64 value = rnd();
  u64 *page = (u64 *)access_page(m, off, true);
  bool want = there(p) && p->prot == 3;
  if (page == NULL && want && starved)
    return;
  if ((page != NULL) != want)
    fail(page ? "writable but should not be" : "not writable", m, off);
  if (page)
    words_of(p)[w] = page[word_at[w]] = value;
}

static void check_all(struct model *m) {
  for (unsigned w = 0; w < NWINDOWS; w++)
    for (u32 i = 0; i < windows[w].pages; i++)
      check_page(m, w, i);
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
  if (chance(20)) { /* whole tables */
    r.first = r.first / 512 * 512;
    r.n = r.n >= 512 ? r.n / 512 * 512 : r.n;
  }
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
  if (failed(region_map(m->real, r.off, r.len, prot, REGION_HOT), "map", m))
    return;
  for (u32 i = 0; i < r.n; i++)
    r.pages[i] = (struct mpage){.kind = PRIVATE, .prot = (u8)prot};
}

static void map_pages(struct model *m, unsigned w, u32 first, u32 n, int prot) {
  if (failed(region_map(m->real, windows[w].lo + first * 4096, n * 4096, prot, REGION_HOT), "map",
             m))
    return;
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
  if (failed(region_map_object(m->real, r.off, n * 4096, prot, objects[o], at * 4096), "map object",
             m))
    return;
  for (u32 i = 0; i < n; i++)
    r.pages[i] =
        (struct mpage){.kind = SHARED, .prot = (u8)prot, .object = o, .object_page = (u16)(at + i)};
}

static void op_unmap(struct model *m) {
  struct range r = random_range(m);
  note("unmap region %d off %x pages %u", (int)(m - regions), r.off, r.n);
  if (failed(region_unmap(m->real, r.off, r.len, false), "unmap", m))
    return;
  memset(r.pages, 0, r.n * sizeof(*r.pages));
}

static void op_protect(struct model *m) {
  struct range r = random_range(m);
  int prot = random_prot();
  note("protect region %d off %x pages %u prot %d", (int)(m - regions), r.off, r.n, prot);
  if (failed(region_protect(m->real, r.off, r.len, prot), "protect", m))
    return;
  for (u32 i = 0; i < r.n; i++)
    if (r.pages[i].kind != NOTHING)
      r.pages[i].prot = (u8)prot;
}

static void op_discard(struct model *m) {
  struct range r = random_range(m);
  note("discard region %d off %x pages %u", (int)(m - regions), r.off, r.n);
  if (failed(region_discard(m->real, r.off, r.len), "discard", m)) {
    feed(); /* a part may be done: the rest follows */
    if (region_discard(m->real, r.off, r.len))
      fail("discard again", m, r.off);
  }
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

/* What programs do after every fork, so that there is something to learn. */
static void op_write_hot(struct model *m) {
  note("write hot region %d", (int)(m - regions));
  for (u32 i = 0; i < 4; i++) {
    write_word(m, windows[0].lo + (3 + i) * 4096, &m->pages[3 + i]);
    write_word(m, windows[2].lo + i * 37 * 4096, &m->pages[window_index(2) + i * 37]);
  }
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
  for (u32 i = 0; i < STACK_PAGES; i++) {
    u32 off = windows[1].lo + i * 4096;
    struct mpage *p = &m->pages[window_index(1) + i];
    if (off + 4096 > sp - 128 || p->kind != PRIVATE || p->prot == 0)
      continue;
    const u64 *page = access_page(m, off, false);
    if (page == NULL || !page_equals(page, p->words))
      memset(p->words, 0, sizeof(p->words));
  }
}

static void op_fork_at(struct model *m, u32 sp) {
  struct model *c = free_slot();
  struct region *real;
  if (!c)
    return;
  bool on_stack = chance(70);
  bool plain = true; /* a protected page there is not what a stack is */
  for (u32 i = 0; i < STACK_PAGES; i++)
    plain &= m->pages[window_index(1) + i].prot == 3;
  struct region_fork_args a = {.sp = sp};
  if (on_stack && plain && !starved) {
    a.stack_lo = windows[1].lo;
    a.stack_hi = STACK_HI;
  }
  on_some_cpu(m);
  note("fork region %d to %d sp %x lo %x", (int)(m - regions), (int)(c - regions), sp, a.stack_lo);
  if (failed(region_fork(m->real, &a, &real), "fork", m))
    return;
  forks++;
  start(c, real);
  memcpy(c->pages, m->pages, TOTAL_PAGES * sizeof(*c->pages));
  if (a.stack_hi)
    settle_dead_stack(c, sp);
}

static void op_fork(struct model *m) {
  struct model *c = free_slot();
  op_fork_at(m, windows[1].lo + below(STACK_PAGES * 4096));
  if (!c || !c->real)
    return;
  if (chance(60))
    op_write_hot(chance(50) ? c : m);
  if (chance(5)) {
    check_all(c);
    check_all(m);
  }
}

static void op_destroy(struct model *m) {
  note("destroy region %d", (int)(m - regions));
  mmu_forget(m->real);
  region_destroy(m->real);
  free(m->pages);
  *m = (struct model){0};
}

static void check_tlbs(void) {
  for (unsigned i = 0; i < test_cpus; i++) {
    mmu_cpu(i);
    for (unsigned k = 0; k < MAX_REGIONS; k++) {
      u64 off = regions[k].real ? mmu_stale(regions[k].real) : 0;
      if (off)
        fail("stale TLB", &regions[k], (u32)off);
    }
  }
}

/* A parent that forks again and again, and children that write the same pages or none, so that they
   are kept warm; now and then one of them does something else. */
static void op_fork_often(struct model *m) {
  for (unsigned n = 2 + below(6); n > 0; n--) {
    struct model *c = free_slot();
    if (!c)
      return;
    struct region *was = m->real->warm;
    op_fork_at(m, windows[1].lo + 6 * 4096 + 100);
    if (!c->real)
      return;
    warm_forks += was && c->real == was;
    lent += was && c->real == was ? was->n_lent : 0;
    if (chance(70))
      op_write_hot(c);
    if (chance(15))
      op_write(c);
    if (chance(15))
      op_unmap(m);
    if (chance(20))
      op_write(m);
    if (chance(30))
      check_all(c);
    if (chance(80))
      op_destroy(c);
    if (chance(10))
      op_map(m);
    if (chance(30))
      op_write_hot(m);
    if (chance(30))
      check_tlbs();
    if (chance(3))
      region_trim();
  }
}

static void op_create(void) {
  struct model *m = free_slot();
  struct region *real;
  if (!m)
    return;
  note("create region %d", (int)(m - regions));
  if (failed(region_create(1 + below(2), &real), "create", m))
    return;
  start(m, real);
  if (tidy) {
    map_pages(m, 0, 3, 40, 3);
    map_pages(m, 1, 0, STACK_PAGES, 3);
    map_pages(m, 2, 0, 1500 + below(1000), 3);
    map_pages(m, 3, 0, 100 + below(500), 3);
  }
}

/* ---- objects --------------------------------------------------------------------------------- */

static void op_object_io(void) {
  static u64 page[512];
  unsigned o = below(OBJECTS), i = below(OBJECT_PAGES);
  note("read and write object %u page %u", o, i);
  i64 n = memobj_read(objects[o], i * PAGE_SIZE, page, sizeof(page));
  bool inside = i < object_pages[o];
  if (n != (inside ? (i64)sizeof(page) : 0) || (n && !page_equals(page, object_words[o][i])))
    fail("object read", regions, i);
  u64 value = rnd();
  n = memobj_write(objects[o], i * PAGE_SIZE, &value, sizeof(value));
  if (n == 8)
    object_words[o][i][0] = value;
  if (n != (inside ? 8 : 0) && !(starved && n == -ENOSPC))
    fail("object write", regions, i);
}

static void op_object_punch(void) {
  unsigned o = below(OBJECTS), i = below(OBJECT_PAGES), n = 1 + below(OBJECT_PAGES - i);
  note("punch object %u at %u pages %u", o, i, n);
  if (memobj_punch(objects[o], i * PAGE_SIZE + 8, n * PAGE_SIZE - 8))
    fail("punch", regions, i);
  u64 first = object_words[o][i][0];
  memset(object_words[o][i], 0, n * sizeof(object_words[o][0]));
  object_words[o][i][0] = first; /* the first word was left out */
}

/* Growing only: what a cut-off page shows while it is mapped is not defined. */
static void op_object_grow(void) {
  unsigned o = below(OBJECTS);
  u32 n = object_pages[o] + below(OBJECT_PAGES - object_pages[o] + 1);
  note("object %u from %u to %u pages", o, object_pages[o], n);
  int err = memobj_resize(objects[o], n * PAGE_SIZE);
  if (!failed(err, "resize", regions))
    object_pages[o] = n;
}

/* ---------------------------------------------------------------------------------------------- */

static struct model *random_region(void) {
  for (unsigned tries = 0; tries < 100; tries++) {
    struct model *m = &regions[below(MAX_REGIONS)];
    if (m->real)
      return m;
  }
  return NULL;
}

static void run_audit(void) {
  struct region *list[2 * MAX_REGIONS];
  struct audit_set s = {list, 0, objects, OBJECTS};
  for (unsigned i = 0; i < MAX_REGIONS; i++) {
    if (!regions[i].real)
      continue;
    list[s.n_regions++] = regions[i].real;
    if (regions[i].real->warm)
      list[s.n_regions++] = regions[i].real->warm;
  }
  const char *bad = audit(&s);
  audits++;
  if (bad)
    fail(bad, regions, 0);
}

static void spot_checks(void) {
  for (unsigned i = 0; i < 12; i++) {
    struct model *v = random_region();
    if (v) {
      unsigned w = below(NWINDOWS);
      check_page(v, w, below(windows[w].pages));
    }
  }
}

static void operate(struct model *m, u32 what) {
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
  else if (what < 80)
    op_write_hot(m);
  else if (what < 83)
    op_object_io();
  else if (what < 84)
    op_object_punch();
  else if (what < 85)
    op_object_grow();
  else if (what < 92)
    op_fork(m);
  else if (what < 95)
    op_fork_often(m);
  else if (free_slot() == NULL || what < 97)
    op_destroy(m);
}

static void step(void) {
  struct model *m = random_region();
  u32 what = below(100);
  if (tidy && what >= 1 && what < 38 && !chance(5))
    what = 38 + below(62);
  if (starved ? chance(10) : chance(1))
    starved ? feed() : starve();
  operate(m, what);
  spot_checks();
  while (chance(30) && frames_zero_ahead())
    ;
  m = random_region();
  if (m && op_count % 400 == 0)
    check_all(m);
  if (op_count % 500 == 0 && !starved)
    run_audit();
  if (op_count % 10 == 0)
    check_tlbs();
  for (unsigned i = 0; op_count >= strict && i < MAX_REGIONS; i++)
    if (regions[i].real) {
      check_all(&regions[i]);
      check_tlbs();
    }
  if (op_count >= strict && !starved)
    run_audit();
  op_count++;
}

/* ---- what must be left at the end: nothing --------------------------------------------------- */

static void finish(void) {
  feed();
  run_audit();
  for (unsigned i = 0; i < MAX_REGIONS; i++)
    if (regions[i].real) {
      check_all(&regions[i]);
      op_destroy(&regions[i]);
    }
  for (unsigned i = 0; i < OBJECTS; i++)
    memobj_put(objects[i]);
  hotsets_drain();
  for (unsigned i = 0; i < test_cpus; i++) {
    mmu_cpu(i);
    tables_drain();
    frames_drain();
  }
  u64 left = frames_used() / PAGE_SIZE - audit_upper_frames();
  paddr run = frames_alloc_run(MEMORY / PAGE_SIZE / 4, PAGE_SIZE); /* nothing is kept by a CPU */
  bool clean = left == 0 && run != 0 && slots_in_use() == 0 && support_kmalloc_live() == 0 &&
               ((warm_forks > 0 && lent > 0) || !tidy);
  printf("%s pc region model: %lu operations, %lu forks (%lu warm, %lu pages lent again), %lu "
         "pages compared, %lu audits, "
         "%lu times without memory (%lu calls refused)\n",
         clean ? "ok" : "FAIL", (unsigned long)op_count, (unsigned long)forks,
         (unsigned long)warm_forks, (unsigned long)lent, (unsigned long)checked,
         (unsigned long)audits, (unsigned long)starvations, (unsigned long)refused);
  printf("   %lu faults, %lu pages invalidated, %lu flushes, %lu shootdowns\n",
         (unsigned long)mmu_faults, (unsigned long)mmu_invalidations, (unsigned long)mmu_flushes,
         (unsigned long)mmu_shootdowns);
  if (!clean)
    printf("FAIL something is left: %lu frames, %u slots, %d blocks\n", (unsigned long)left,
           slots_in_use(), support_kmalloc_live());
  printf("region_test: %d passed, %d failed\n", clean, !clean);
  exit(!clean);
}

int main(int argc, char **argv) {
  if (argc != 3) {
    fputs("usage: region_test SEED OPERATIONS\n", stderr);
    return 2;
  }
  state = strtoull(argv[1], NULL, 0) * 0x9e3779b97f4a7c15u | 1;
  for (int i = 0; i < 20; i++)
    rnd();
  if (getenv("REGION_TEST_STRICT"))
    strict = strtoull(getenv("REGION_TEST_STRICT"), NULL, 0);
  tidy = strtoull(argv[1], NULL, 0) & 1;
  test_cpus = strtoull(argv[1], NULL, 0) & 2 ? 1 : TEST_CPUS_MAX;
  support_on_panic = print_history;
  support_init(MEMORY);
  for (unsigned i = 0; i < OBJECTS; i++) {
    object_pages[i] = i == 0 ? 1 : 48;
    if (memobj_create(object_pages[i] * PAGE_SIZE, &objects[i]))
      return 1;
  }
  for (u64 n = strtoull(argv[2], NULL, 0); n > 0; n--)
    step();
  finish();
}
