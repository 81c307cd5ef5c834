/* SPDX-License-Identifier: MIT */
/*
 * Pages copied ahead must never be stale: a zygote and its workers at random, compared page by page
 * with a model after every fork. Workers write mostly the same pages, so that their regions are
 * made ready when they exit; meanwhile the zygote writes few pages or many, unmaps, discards and
 * protects some, is thawed, and workers fork themselves.
 */
#define _GNU_SOURCE
#include "plat/hosted/seg.h"
#include "plat/hosted/test/support.h"
#include "plat/hosted/written.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LO 0x40000000u
#define PAGES 3000
#define HOT 200 /* pages that every worker writes, */
#define HOT_STEP 13
#define WORKERS_MAX 4
#define ROUNDS 6000
#define READY_MIN 500 /* workers that found all their pages copied ahead */
#define KNOWN_MIN 300 /* forks and exits of which it was known what had been written */

struct process {
  struct region *r;
  u64 words[PAGES]; /* what each page begins and ends with */
};

static struct process zygote, workers[WORKERS_MAX], grandchild;
static u32 ready, known_forks, known_ends, rounds;

static _Noreturn void fail(const char *what, u64 value) {
  printf("FAIL %s: %lu in round %u\n", what, (unsigned long)value, rounds);
  exit(1);
}

static u64 *page_of(const struct process *p, u32 i) {
  return (u64 *)region_ptr(p->r, LO + i * 4096);
}

static void write_page(struct process *p, u32 i) {
  p->words[i] = page_of(p, i)[0] = page_of(p, i)[511] = rnd();
}

static void check(const struct process *p, const char *what) {
  for (u32 i = 0; i < PAGES; i++) {
    const u64 *page = page_of(p, i);
    if (page[0] != p->words[i] || page[511] != p->words[i])
      fail(what, i);
  }
}

static bool is_known(const struct region *r) {
  bool known = r->n_segs > 0;
  for (u32 i = 0; i < r->n_segs; i++) {
    const struct seg *s = r->segs[i];
    known = known && s->frozen && s->tracked == r && s->written.known &&
            s->written.remaps == r->remaps && s->written.faults == written_faults();
  }
  return known;
}

static void fork_from(struct process *parent, struct process *child) {
  struct region_fork_args a = {.sp = 0};
  known_forks += is_known(parent->r);
  if (region_fork(parent->r, &a, &child->r))
    fail("fork", 0);
  memcpy(child->words, parent->words, sizeof(child->words));
  bool ahead = child->r->ready && child->r->watched;
  for (u32 i = 0; i < child->r->n_segs; i++)
    ahead = ahead && child->r->ready >= child->r->segs[i]->changed;
  ready += ahead;
  check(child, "a child's page");
}

static void end(struct process *p) {
  known_ends +=
      p->r->watched && p->r->noted_remaps == p->r->remaps && p->r->noted_faults == written_faults();
  region_destroy(p->r);
  p->r = NULL;
}

static void map(struct process *p, u32 first, u32 n) {
  if (region_map(p->r, LO + first * 4096, n * 4096, REGION_READ | REGION_WRITE, REGION_COLD))
    fail("map", first);
  memset(p->words + first, 0, n * sizeof(p->words[0]));
}

static void work(struct process *w) {
  for (u32 i = 0; i < HOT; i++)
    if (!chance(5))
      write_page(w, i * HOT_STEP);
  for (u32 n = chance(20) ? below(20) : 0; n > 0; n--)
    write_page(w, below(PAGES));
  if (chance(1) && chance(50)) /* what its region had there is gone */
    map(w, below(PAGES - 50), 50);
  if (chance(10)) { /* it forks itself: another parent that shares the zygote's segments */
    fork_from(w, &grandchild);
    write_page(w, below(PAGES));
    write_page(&grandchild, below(PAGES));
    check(&grandchild, "a grandchild's page");
    check(w, "a worker's page");
    end(&grandchild);
  }
}

/* What shredded mappings keep warm is little: that happens now and then only. */
static void change_mappings(struct process *p) {
  u32 n = 1 + below(100), first = below(PAGES - n), off = LO + first * 4096;
  int err = 0;
  switch (below(3)) {
  case 0:
    map(p, first, n);
    return;
  case 1:
    err = region_discard(p->r, off, n * 4096);
    memset(p->words + first, 0, n * sizeof(p->words[0]));
    break;
  default: /* much has been written when fork comes, and some of it is read-only then */
    for (u32 i = 0; i < 120; i++)
      write_page(p, i < n ? first + i : below(PAGES));
    fork_from(p, &grandchild);
    end(&grandchild);
    err = region_protect(p->r, off, n * 4096, REGION_READ);
    fork_from(p, &grandchild);
    end(&grandchild);
    err = err ? err : region_protect(p->r, off, n * 4096, REGION_READ | REGION_WRITE);
  }
  if (err)
    fail("change of mappings", first);
}

static void zygote_runs(void) {
  for (u32 n = below(12); n > 0; n--)
    write_page(&zygote, below(40) * 7);
  if (chance(20))
    write_page(&zygote, below(HOT) * HOT_STEP);
  if (chance(1)) /* more than fork copies for long */
    for (u32 n = 100 + below(1000); n > 0; n--)
      write_page(&zygote, below(PAGES));
  if (chance(2))
    change_mappings(&zygote);
  if (chance(2))
    for (u32 n = below(30); n > 0 && seg_thaw_step(zygote.r, THAW_PART) > 0;)
      n--;
  if (chance(5))
    thaw_round();
}

static void start(void) {
  if (region_create(1, &zygote.r))
    fail("create", 0);
  map(&zygote, 0, PAGES);
  for (u32 i = 0; i < PAGES; i++)
    write_page(&zygote, i);
}

int main(void) {
  support_init();
  start();
  for (rounds = 0; rounds < ROUNDS; rounds++) {
    if (chance(1) && chance(30)) { /* mappings in one piece again */
      for (u32 i = 0; i < WORKERS_MAX; i++)
        if (workers[i].r)
          end(&workers[i]);
      end(&zygote);
      start();
    }
    struct process *w = &workers[chance(70) ? 0 : below(WORKERS_MAX)];
    if (w->r) {
      check(w, "a worker's page");
      end(w);
    }
    zygote_runs();
    fork_from(&zygote, w);
    work(w);
    check(&zygote, "the zygote's page");
    if (chance(60))
      end(w);
  }
  if (ready < READY_MIN)
    fail("workers whose pages were all copied ahead", ready);
  if (known_forks < KNOWN_MIN || known_ends < KNOWN_MIN)
    fail("forks or exits without a search", min_u64(known_forks, known_ends));
  printf("ok, %u workers, %u found all copied ahead; %u forks, %u exits without a search\n", rounds,
         ready, known_forks, known_ends);
}
