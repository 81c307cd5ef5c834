/* SPDX-License-Identifier: MIT */
/*
 * A zygote and its workers, one after another, that all write the same pages: once a region is
 * warm, fork has copied these pages and a worker's writes cause hardly any fault of the host. The
 * sizes are those of a Python interpreter with a few modules.
 */
#define _GNU_SOURCE
#include "plat/hosted/seg.h"
#include "plat/hosted/test/support.h"
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#define DATA 0x20000000u
#define DATA_PAGES 410
#define HEAP 0x40000000u
#define HEAP_PAGES 3000
#define WRITTEN 330 /* pages of the two, every tenth of the lot */
#define WORKERS 40
#define FAULTS_MAX 40

static void fail(const char *what, long value) {
  printf("FAIL %s: %ld\n", what, value);
  exit(1);
}

static u64 *written(struct region *r, u32 i) {
  u32 page = i * ((DATA_PAGES + HEAP_PAGES) / WRITTEN);
  u32 off = page < DATA_PAGES ? DATA + page * 4096 : HEAP + (page - DATA_PAGES) * 4096;
  return (u64 *)region_ptr(r, off);
}

static long faults(void) {
  struct rusage u;
  getrusage(RUSAGE_SELF, &u);
  return u.ru_minflt;
}

/* Faults of a worker's writes; it sees what the zygote has, not what workers before it wrote. */
static long worker(struct region *zygote, u64 round) {
  struct region_fork_args a = {.sp = 0};
  struct region *r;
  for (u32 i = 0; i < WRITTEN; i += 50)
    *written(zygote, i) = round; /* so does the zygote, between two forks */
  if (region_fork(zygote, &a, &r))
    fail("fork", (long)round);
  long before = faults();
  for (u32 i = 0; i < WRITTEN; i++) {
    u64 *p = written(r, i);
    if (*p != (i % 50 ? i : round))
      fail("contents of a page", i);
    *p = ~0ul;
  }
  before = faults() - before;
  region_destroy(r);
  return before;
}

int main(void) {
  struct region *zygote;
  long least = WRITTEN;
  support_init();
  if (region_create(1, &zygote) ||
      region_map(zygote, DATA, DATA_PAGES * 4096, REGION_READ | REGION_WRITE, REGION_HOT) ||
      region_map(zygote, HEAP, HEAP_PAGES * 4096, REGION_READ | REGION_WRITE, REGION_COLD))
    fail("map", 0);
  for (u32 i = 0; i < DATA_PAGES; i++)
    *(u64 *)region_ptr(zygote, DATA + i * 4096) = 1;
  for (u32 i = 0; i < HEAP_PAGES; i++)
    *(u64 *)region_ptr(zygote, HEAP + i * 4096) = 1;
  for (u32 i = 0; i < WRITTEN; i++)
    *written(zygote, i) = i;
  for (u32 i = 0; i < WORKERS; i++) {
    long n = worker(zygote, 1000 + i);
    least = n < least ? n : least;
  }
  region_destroy(zygote);
  if (least > FAULTS_MAX)
    fail("faults of the luckiest worker", least);
  printf("ok, %ld faults for %d pages\n", least, WRITTEN);
}
