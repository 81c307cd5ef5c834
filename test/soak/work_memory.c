/* SPDX-License-Identifier: MIT */
/* Mappings against a model that says what each page holds, through forks; and snapshots of a
   process whose threads go on writing. */
#include "soak.h"

#define PAGE 4096u
#define AREAS 10
#define PAGES_MAX 48

enum kind { EMPTY, PRIVATE, SHARED, MEMFD };

struct area {
  enum kind kind;
  char *at;
  unsigned pages;
  bool readonly;
  uint32_t stamp[PAGES_MAX];
};

static uint32_t *word(struct area *a, unsigned page, unsigned i) {
  return (uint32_t *)(a->at + page * PAGE + (page * 64 + i * 1000) % (PAGE - 4) / 4 * 4);
}

static void store(struct area *a, unsigned page, uint32_t v) {
  for (unsigned i = 0; i < 3; i++)
    *(volatile uint32_t *)word(a, page, i) = v;
  a->stamp[page] = v;
}

static void verify(struct area *areas) {
  for (struct area *a = areas; a < areas + AREAS; a++)
    for (unsigned p = 0; a->kind != EMPTY && p < a->pages; p++)
      for (unsigned i = 0; i < 3; i++)
        EXPECT(*word(a, p, i), a->stamp[p]);
}

static void map(struct area *a, uint64_t *r) {
  *a = (struct area){.kind = PRIVATE + below(r, 3), .pages = 1 + below(r, PAGES_MAX)};
  size_t n = a->pages * PAGE;
  int fd = -1, flags = MAP_ANONYMOUS | (a->kind == PRIVATE ? MAP_PRIVATE : MAP_SHARED);
  if (a->kind == MEMFD) {
    fd = OK(memfd_create("soak", MFD_CLOEXEC));
    OK(ftruncate(fd, (off_t)n));
    flags = MAP_SHARED;
  }
  a->at = OK(mmap(NULL, n, PROT_READ | PROT_WRITE, flags, fd, 0));
  if (fd >= 0)
    OK(close(fd));
}

static void unmap(struct area *a) {
  OK(munmap(a->at, a->pages * PAGE));
  a->kind = EMPTY;
}

static void shrink(struct area *a, uint64_t *r) {
  unsigned keep = 1 + below(r, a->pages);
  if (keep == a->pages)
    return;
  OK(munmap(a->at + keep * PAGE, (a->pages - keep) * PAGE));
  a->pages = keep;
}

static void grow(struct area *a, uint64_t *r) {
  unsigned pages = a->pages + below(r, PAGES_MAX + 1 - a->pages);
  if (a->kind != PRIVATE || a->readonly || pages == a->pages)
    return;
  a->at = OK(mremap(a->at, a->pages * PAGE, pages * PAGE, MREMAP_MAYMOVE));
  memset(a->stamp + a->pages, 0, (pages - a->pages) * sizeof *a->stamp);
  a->pages = pages;
}

static void discard(struct area *a, uint64_t *r) {
  unsigned from = below(r, a->pages), n = 1 + below(r, a->pages - from);
  if (a->kind != PRIVATE)
    return;
  OK(madvise(a->at + from * PAGE, n * PAGE, MADV_DONTNEED));
  memset(a->stamp + from, 0, n * sizeof *a->stamp);
}

static void protect(struct area *a, uint64_t *r) {
  (void)r;
  a->readonly = !a->readonly;
  OK(mprotect(a->at, a->pages * PAGE, PROT_READ | (a->readonly ? 0 : PROT_WRITE)));
}

static void scribble(struct area *a, uint64_t *r) {
  for (unsigned n = below(r, 20); n > 0 && !a->readonly; n--)
    store(a, below(r, a->pages), (uint32_t)rnd(r));
}

static void step(struct area *areas, uint64_t *r) {
  struct area *a = &areas[below(r, AREAS)];
  void (*const change[])(struct area *, uint64_t *) = {scribble, scribble, scribble, shrink,
                                                       grow,     discard,  protect};
  if (a->kind == EMPTY)
    map(a, r);
  else if (below(r, 8) == 0)
    unmap(a);
  else
    change[below(r, sizeof change / sizeof *change)](a, r);
}

/* The child sees all, writes what is its own; a shared page that it writes the parent sees. */
static void fork_check(struct area *areas, uint64_t *r, unsigned depth) {
  uint64_t mine = mix(*r, depth);
  int shared = -1;
  for (int i = 0; i < AREAS && shared < 0; i++)
    if (areas[i].kind > PRIVATE && !areas[i].readonly)
      shared = i;
  pid_t pid = child();
  if (pid == 0) {
    verify(areas);
    for (unsigned i = 0; i < 30; i++) {
      struct area *a = &areas[below(&mine, AREAS)];
      if (a->kind == PRIVATE)
        scribble(a, &mine);
    }
    if (shared >= 0)
      store(&areas[shared], 0, 0xabcd0000u + depth);
    if (depth > 0 && below(&mine, 2))
      fork_check(areas, &mine, depth - 1);
    verify(areas);
    _exit(0);
  }
  for (unsigned i = 0; i < 10; i++) { /* meanwhile */
    struct area *a = &areas[below(r, AREAS)];
    if (a->kind == PRIVATE)
      scribble(a, r);
  }
  EXPECT_EXIT(pid, 0);
  if (shared < 0)
    return;
  uint32_t v = *word(&areas[shared], 0, 0); /* the child's, or the grandchild's after it */
  CHECK(v >> 16 == 0xabcd);
  store(&areas[shared], 0, v);
}

void job_memory(uint64_t *r) {
  static struct area areas[AREAS];
  char *block[8] = {NULL};
  for (unsigned rounds = 10 + below(r, 60); rounds > 0; rounds--) {
    for (unsigned i = below(r, 10); i > 0; i--)
      step(areas, r);
    unsigned b = below(r, 8);
    free(block[b]);
    size_t n = 1 + below(r, below(r, 5) ? 3000 : 200000);
    block[b] = malloc(n);
    CHECK(block[b] || lean);
    if (block[b])
      memset(block[b], (int)b, n);
    if (below(r, 8) == 0)
      fork_check(areas, r, 2);
  }
  verify(areas);
}

/* ---- snapshots ------------------------------------------------------------------------------- */

#define WRITERS 2
#define CELLS 512

static volatile uint64_t *cells; /* pairs: the second is written after the first */
static atomic_bool stop;

static void *write_pairs(void *arg) {
  uint64_t me = (uint64_t)(uintptr_t)arg;
  for (uint64_t n = 1; !stop; n++)
    for (unsigned i = (unsigned)me; i < CELLS && !stop; i += WRITERS) {
      cells[i * 512] = n;
      cells[i * 512 + 1] = n;
    }
  return NULL;
}

/* Nothing changes in the child, and no pair is further apart than one write. */
static void check_frozen(void) {
  static uint64_t seen[CELLS];
  for (unsigned i = 0; i < CELLS; i++) {
    uint64_t a = cells[i * 512], b = cells[i * 512 + 1];
    CHECK(a == b || a == b + 1);
    seen[i] = a;
  }
  sleep_us(500);
  for (unsigned i = 0; i < CELLS; i++)
    EXPECT(cells[i * 512], seen[i]);
}

void job_snapshot(uint64_t *r) {
  pthread_t t[WRITERS];
  unsigned threads = below(r, WRITERS + 1);
  size_t big = (size_t)below(r, 3) << 21;
  char *mem = NULL;
  stop = false;
  cells = malloc(CELLS * PAGE);
  if (big)
    mem = malloc(big);
  if (!cells || (big && !mem)) {
    CHECK(lean);
    give_up_quietly();
  }
  memset((void *)cells, 0, CELLS * PAGE);
  if (big)
    pattern_fill(mem, big, *r, 0);
  uint64_t pattern = *r;
  for (unsigned i = 0; i < threads; i++)
    OK0(pthread_create(&t[i], NULL, write_pairs, (void *)(uintptr_t)i));
  for (unsigned n = 1 + below(r, 12); n > 0; n--) {
    pid_t pid = child();
    if (pid == 0) {
      check_frozen();
      if (big)
        EXPECT(pattern_check(mem, big / 8, pattern, 0), -1);
      _exit(0);
    }
    if (below(r, 3) == 0)
      sleep_us(below(r, 4000));
    EXPECT_EXIT(pid, 0);
  }
  stop = true;
  for (unsigned i = 0; i < threads; i++)
    OK0(pthread_join(t[i], NULL));
  if (big)
    EXPECT(pattern_check(mem, big, pattern, 0), -1);
  free(mem);
  free((void *)cells);
}
