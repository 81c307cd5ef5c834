/* SPDX-License-Identifier: MIT */
/*
 * Regions under the thread sanitizer: several host threads, each with a region that it forks,
 * writes and maps in, share the pool of warm regions, while one more thread claims and thaws
 * behind their backs. Each checks that a child has what its parent had, and the parent what it has
 * written since.
 */
#define _GNU_SOURCE
#include "plat/hosted/seg.h"
#include "plat/hosted/test/support.h"
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define DATA 0x20000000u
#define DATA_PAGES 40
#define HEAP 0x40000000u
#define HEAP_PAGES 1500
#define EXTRA 0x50000000u
#define THREADS 3
#define LIVES 2
#define ROUNDS 80

static int stop, thawed; /* atomic */
static __thread struct region *mine[2];

static void fail(const char *what, long value) {
  printf("FAIL %s: %ld\n", what, value);
  _exit(1);
}

/* A write to a part that is being thawed waits and is repeated; so does a read of what moves. */
static void on_fault(int sig, siginfo_t *info, void *context) {
  (void)sig;
  u64 at = (u64)info->si_addr;
  bool write = ((ucontext_t *)context)->uc_mcontext.gregs[REG_ERR] & 2;
  for (int i = 0; i < 2; i++)
    if (mine[i] && at - region_base(mine[i]) < UF_REGION_SIZE)
      if (region_fault(mine[i], (u32)(at - region_base(mine[i])), write))
        return;
  fail("a fault that nobody expected", (long)at);
}

static u64 *page(struct region *r, u32 i) {
  u32 off = i < DATA_PAGES ? DATA + i * 4096 : HEAP + (i - DATA_PAGES) * 4096;
  return (u64 *)region_ptr(r, off);
}
#define PAGES (DATA_PAGES + HEAP_PAGES)

static void check(struct region *r, u64 seed, u64 round) {
  for (u32 i = 0; i < PAGES; i++) {
    u64 last = round - (round + i) % 7; /* when it was written last */
    if (last > round)
      last = 0;
    if (*page(r, i) != seed + last)
      fail("contents of a page", i);
  }
}

static void child(struct region *parent, u64 seed, u64 round) {
  struct region_fork_args a = {.may_move = round % 8 != 0};
  struct region *r;
  if (region_fork(parent, &a, &r))
    fail("fork", (long)round);
  if (support_watched())
    region_after_fork(parent);
  mine[1] = r;
  region_begin(r);                   /* from now on the parent's parts may be claimed */
  for (u32 i = 0; i < PAGES; i += 3) /* while the child has the old contents */
    *page(parent, i) = ~seed;
  check(r, seed, round);
  for (u32 i = 0; i < PAGES; i += 5)
    *page(r, i) = 1;
  for (u32 i = 0; i < PAGES; i += 3)
    *page(parent, i) = seed + (round - (round + i) % 7 > round ? 0 : round - (round + i) % 7);
  mine[1] = NULL;
  region_destroy(r);
}

static void write_all(struct region *r, u64 value) {
  for (u32 i = 0; i < PAGES; i++)
    *page(r, i) = value;
}

static bool is_prepared(struct region *r) {
  hostmutex_lock(&r->lock);
  bool is = r->stand_in != NULL;
  hostmutex_unlock(&r->lock);
  return is;
}

/* While its first fork is prepared. */
static void grow_old(struct region *r, u64 seed) {
  for (u64 k = 0; k < 100 && !is_prepared(r); k++) {
    write_all(r, k);
    usleep(200);
  }
  write_all(r, seed);
}

static void live_once(u64 id, u64 seed) {
  struct region *r;
  if (region_create(id % 2 + 1, &r) ||
      region_map(r, DATA, DATA_PAGES * 4096, REGION_READ | REGION_WRITE, REGION_HOT) ||
      region_map(r, HEAP, HEAP_PAGES * 4096, REGION_READ | REGION_WRITE, REGION_COLD))
    fail("map", 0);
  mine[0] = r;
  grow_old(r, seed);
  for (u64 round = 1; round <= ROUNDS; round++) {
    for (u32 i = 0; i < PAGES; i++)
      if ((round + i) % 7 == 0)
        *page(r, i) = seed + round;
    child(r, seed, round);
    if (round % 4 == 0) {
      if (region_map(r, EXTRA, 64 * 4096, REGION_READ | REGION_WRITE, REGION_COLD))
        fail("map more", (long)round);
      for (u32 i = 0; i < 64; i++)
        if (*(u64 *)region_ptr(r, EXTRA + i * 4096) != 0)
          fail("fresh memory", i);
        else
          *(u64 *)region_ptr(r, EXTRA + i * 4096) = round;
      child(r, seed, round);
      if (region_unmap(r, EXTRA, 64 * 4096, false))
        fail("unmap", (long)round);
    }
    if (round % 10 == 0)
      region_trim();
    if (round % 3 == 0)
      usleep(2000); /* a pause in which it is thawed */
    check(r, seed, round);
  }
  mine[0] = NULL;
  region_destroy(r);
}

static void *live(void *arg) {
  u64 id = (u64)arg;
  for (u64 n = 0; n < LIVES; n++)
    live_once(id, (id + 1 + n * THREADS) << 32);
  return NULL;
}

static void *thaw(void *arg) {
  while (!__atomic_load_n(&stop, __ATOMIC_RELAXED))
    if (thaw_round())
      __atomic_add_fetch(&thawed, 1, __ATOMIC_RELAXED);
    else
      sched_yield();
  return arg;
}

int main(void) {
  pthread_t t[THREADS], thawer;
  struct sigaction sa = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_NODEFER};
  sigaction(SIGSEGV, &sa, NULL);
  support_init();
  pthread_create(&thawer, NULL, thaw, NULL);
  for (u64 i = 0; i < THREADS; i++)
    pthread_create(&t[i], NULL, live, (void *)i);
  for (int i = 0; i < THREADS; i++)
    pthread_join(t[i], NULL);
  __atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
  pthread_join(thawer, NULL);
  region_trim();
  if (region_count() != 0)
    fail("regions that are left", (long)region_count());
  printf("race_region: 1 passed, 0 failed (%d rounds of thawing)\n", thawed);
}
