/* SPDX-License-Identifier: MIT */
/*
 * A large process that rewrites all of its memory between snapshots, while another thread writes.
 * µFork puts the memory of the survivor back in order behind its back: forks, reads into the memory
 * by the kernel, and changes of mappings come at all stages of that.
 */
/* test: timeout=600 */
#include "check.h"
#include <pthread.h>
#include <sys/mman.h>

#define PAGE 4096ul
#define BYTES (72ul << 20)
#define PAGES (BYTES / PAGE)
#define ROUNDS 14
#define FILE_BYTES (8ul << 20)
#define WRITER_PAGES 3000ul
#define WRITER_FIRST (PAGES - WRITER_PAGES)
#define FILE_FIRST 512ul
#define PLAYGROUND (16ul << 20)

static uint64_t *heap;
static volatile int stop;
static char name[] = "/tmp/fork_thaw_XXXXXX";

static uint64_t *page(unsigned long i) { return heap + i * (PAGE / 8); }
static uint64_t expected(unsigned long i, unsigned long round) { return i * 1000003 + round; }

/* Each pass leaves the same number in all pages; at any moment a prefix is one ahead. */
static void *writer(void *arg) {
  (void)arg;
  for (uint64_t pass = 1; !stop; pass++)
    for (unsigned long i = 0; i < WRITER_PAGES && !stop; i++) {
      CHECK(page(WRITER_FIRST + i)[100] == pass - 1);
      page(WRITER_FIRST + i)[100] = pass;
    }
  return NULL;
}

static void rewrite(unsigned long round) {
  for (unsigned long i = 0; i < WRITER_FIRST; i++) {
    page(i)[0] = expected(i, round);
    page(i)[511] = ~expected(i, round);
  }
}

static void verify(unsigned long round) {
  for (unsigned long i = 0; i < WRITER_FIRST; i++)
    if (i < FILE_FIRST || i >= FILE_FIRST + FILE_BYTES / PAGE) {
      EXPECT(page(i)[0], expected(i, round));
      EXPECT(page(i)[511], ~expected(i, round));
    }
}

/* A snapshot of the writer's pages: n, n ... n, n-1, n-1 ... */
static void verify_writer(void) {
  uint64_t first = page(WRITER_FIRST)[100];
  for (unsigned long i = 1; i < WRITER_PAGES; i++) {
    uint64_t here = page(WRITER_FIRST + i)[100], before = page(WRITER_FIRST + i - 1)[100];
    CHECK(here == before || here + 1 == before);
    CHECK(here + 1 >= first);
  }
}

static void child(unsigned long round) {
  verify(round);
  verify_writer();
  rewrite(round + 1000); /* nobody else sees this */
  verify(round + 1000);
  _exit(0);
}

/* The kernel fills and reads memory that is on the move: nothing may come short. */
static void kernel_copies(int fd, unsigned long round) {
  uint64_t *to = page(FILE_FIRST);
  EXPECT(pread(fd, to, FILE_BYTES, 0), FILE_BYTES);
  for (unsigned long i = 0; i < FILE_BYTES / 8; i += 512)
    EXPECT(to[i], i + round - 1);
  for (unsigned long i = 0; i < FILE_BYTES / 8; i += 512)
    to[i] = i + round;
  EXPECT(pwrite(fd, to, FILE_BYTES, 0), FILE_BYTES);
}

/* Mappings come, change and go; fresh memory is zero. */
static void change_mappings(unsigned long round) {
  char *p = mmap(NULL, PLAYGROUND, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(p != MAP_FAILED);
  for (unsigned long i = 0; i < PLAYGROUND; i += PAGE) {
    EXPECT(p[i], 0);
    p[i] = 1;
  }
  OK(mprotect(p + (4ul << 20), 1ul << 20, PROT_READ));
  OK(munmap(p + (8ul << 20), 4ul << 20));
  OK(madvise(p, 2ul << 20, MADV_DONTNEED));
  for (unsigned long i = 0; i < PLAYGROUND; i += PAGE)
    if (i < (8ul << 20) || i >= (12ul << 20))
      EXPECT(p[i], i >= 2ul << 20);
  OK(munmap(p, round % 3 ? PLAYGROUND : PLAYGROUND / 2));
  if (round % 3 == 0)
    OK(munmap(p + PLAYGROUND / 2, PLAYGROUND / 2));
}

int main(void) {
  int fd = OK(mkstemp(name));
  OK(unlink(name));
  heap = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(heap != MAP_FAILED);
  for (unsigned long i = 0; i < FILE_BYTES / 8; i += 512)
    page(FILE_FIRST)[i] = i;
  EXPECT(pwrite(fd, page(FILE_FIRST), FILE_BYTES, 0), FILE_BYTES);
  pthread_t t;
  EXPECT(pthread_create(&t, NULL, writer, NULL), 0);
  for (unsigned long round = 1; round <= ROUNDS; round++) {
    rewrite(round);
    kernel_copies(fd, round);
    pid_t pid = OK(fork());
    if (pid == 0)
      child(round);
    rewrite(round + 500); /* while the child looks */
    EXPECT_EXIT(pid, 0);
    sleep_ms((long)(round % 5) * 3);
    verify(round + 500);
    kernel_copies(fd, round + 1);
    change_mappings(round);
    if (round % 2)
      sleep_ms((long)round * 4);
    for (unsigned long i = 0; i < FILE_BYTES / 8; i += 512)
      page(FILE_FIRST)[i] = i + round;
    EXPECT(pwrite(fd, page(FILE_FIRST), FILE_BYTES, 0), FILE_BYTES);
  }
  stop = 1;
  EXPECT(pthread_join(t, NULL), 0);
  verify_writer();
  return done();
}
