/* SPDX-License-Identifier: MIT */
/*
 * Random model check of memory over trees of forks: every process holds regions whose expected
 * contents it knows; it writes, maps, unmaps, drops, protects, grows, forks, exits at random, and
 * checks all contents. A child starts with the model of its parent. Seeded; tens of thousands of
 * operations. On a failure the seed and the step are in the message.
 */
/* test: timeout=300 */
#include "check.h"
#include <sys/mman.h>

enum { REGIONS = 24, PAGE = 4096, MAX_PAGES = 600, SEEDS = 45, STEPS = 300, MAX_DEPTH = 4 };

struct region {
  char *at;
  size_t pages;
  int readonly;
  int torn;       /* parts were mapped anew: mremap of it as a whole is not defined */
  uint32_t *page; /* the value that each page was filled with last; lives in the heap itself */
};

static struct region regions[REGIONS];
static uint64_t state;
static int depth, step;
static uint64_t seed_of_run;
static long *operations; /* of all processes */

static void broken(const char *what, size_t index) {
  dprintf(2, "seed %lu step %d depth %d: %s at %lu\n", (unsigned long)seed_of_run, step, depth,
          what, (unsigned long)index);
  _exit(CHECK_FAILED);
}

/* A page's contents: the value at a few places that depend on it. */
static void put(char *page, uint32_t value) {
  memset(page, (int)(value & 0xff), PAGE);
  memcpy(page + value % 1000 * 4, &value, 4);
}

static void verify_page(const struct region *r, size_t i) {
  char want[PAGE];
  const char *is = r->at + i * PAGE;
  put(want, r->page[i]);
  if (r->page[i] == 0)
    memset(want, 0, PAGE);
  if (!memcmp(want, is, PAGE))
    return;
  size_t at = 0;
  while (want[at] == is[at])
    at++;
  dprintf(2, "page %zu of %zu at %p, torn %d: byte %zu is %#x, should be %#x\n", i, r->pages,
          (const void *)r->at, r->torn, at, is[at] & 0xff, want[at] & 0xff);
  broken("page differs", i);
}

static void verify(int every) {
  for (int n = 0; n < REGIONS; n++)
    for (size_t i = 0; i < regions[n].pages; i++)
      if (every || rnd(&state) % 8 == 0)
        verify_page(&regions[n], i);
}

static void create(struct region *r) {
  r->pages = rnd(&state) % (rnd(&state) % 4 ? 20 : MAX_PAGES) + 1;
  r->at = OK((char *)mmap(NULL, r->pages * PAGE, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  r->page = calloc(r->pages, sizeof *r->page);
  r->readonly = r->torn = 0;
  CHECK(r->page);
}

static void destroy(struct region *r) {
  OK(munmap(r->at, r->pages * PAGE));
  free(r->page);
  *r = (struct region){0};
}

static void write_some(struct region *r) {
  size_t n = rnd(&state) % r->pages + 1, first = rnd(&state) % r->pages;
  for (size_t i = first; i < r->pages && i < first + n; i++) {
    r->page[i] = (uint32_t)rnd(&state) | 1;
    put(r->at + i * PAGE, r->page[i]);
  }
}

static void drop_some(struct region *r, int remap) {
  size_t first = rnd(&state) % r->pages, n = rnd(&state) % (r->pages - first) + 1;
  char *at = r->at + first * PAGE;
  if (remap) {
    r->torn = 1;
    if (rnd(&state) % 2)
      OK(munmap(at, n * PAGE));
    CHECK(mmap(at, n * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
               0) == at);
  } else {
    OK(madvise(at, n * PAGE, MADV_DONTNEED));
  }
  memset(r->page + first, 0, n * sizeof *r->page);
}

static void resize(struct region *r) {
  if (r->torn)
    return;
  size_t pages = rnd(&state) % MAX_PAGES + 1;
  r->at = OK((char *)mremap(r->at, r->pages * PAGE, pages * PAGE, MREMAP_MAYMOVE));
  r->page = realloc(r->page, pages * sizeof *r->page);
  if (pages > r->pages)
    memset(r->page + r->pages, 0, (pages - r->pages) * sizeof *r->page);
  r->pages = pages;
}

static void protect(struct region *r) {
  r->readonly = !r->readonly;
  OK(mprotect(r->at, r->pages * PAGE, r->readonly ? PROT_READ : PROT_READ | PROT_WRITE));
}

static void run(void);

static void split(void) {
  if (depth == MAX_DEPTH)
    return;
  pid_t pid = OK(fork());
  if (pid == 0) {
    depth++;
    state ^= 0x9e3779b97f4a7c15u * (uint64_t)(step + 1);
    step += STEPS / 2; /* children live shorter */
    run();
    _exit(0);
  }
  if (rnd(&state) % 2)
    return; /* runs beside the child; it is reaped later */
  EXPECT_EXIT(pid, 0);
}

static void one(struct region *r) {
  unsigned choice = (unsigned)(rnd(&state) % 100);
  if (choice >= 97)
    split();
  else if (!r->pages)
    create(r);
  else if (r->readonly || choice < 3)
    protect(r);
  else if (choice < 55)
    write_some(r);
  else if (choice < 65)
    drop_some(r, 0);
  else if (choice < 75)
    drop_some(r, 1);
  else if (choice < 82)
    resize(r);
  else if (choice < 88)
    destroy(r);
  else
    verify(0);
}

static void run(void) {
  for (; step < STEPS; step++) {
    one(&regions[rnd(&state) % REGIONS]);
    __atomic_fetch_add(operations, 1, __ATOMIC_RELAXED);
  }
  verify(1);
  int status;
  while (wait(&status) > 0)
    if (status != 0)
      broken("a child failed", (size_t)status);
}

int main(void) {
  operations =
      OK((long *)mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  for (uint64_t seed = 1; seed <= SEEDS; seed++) {
    pid_t pid = OK(fork());
    if (pid == 0) {
      seed_of_run = seed;
      state = seed * 0x2545f4914f6cdd1du;
      run();
      _exit(0);
    }
    EXPECT_EXIT(pid, 0);
  }
  if (*operations < 20000)
    check_fail(__FILE__, __LINE__, "too few operations", *operations);
  return done();
}
