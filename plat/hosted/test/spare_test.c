/* SPDX-License-Identifier: MIT */
/*
 * Spares: a process with a large segment forks, changes mappings inside of it, writes, forks again;
 * its child lives for a while. What both see is compared with a model page by page, holes included.
 * Whatever happened to the segment since its spare was made must show in the next freeze, which
 * mostly uses one.
 */
#define _GNU_SOURCE
#include "plat/hosted/seg.h"
#include "plat/hosted/test/support.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#define LO 0x40000000u
#define PAGES 2400u
#define EARLY 40u /* pages from here on are written after each fork */
#define ROUNDS 400

static u64 want[PAGES]; /* first word of each page; 0 in pages without one */
static bool mapped[PAGES];
static u64 turn, used, holes, compared;

static _Noreturn void fail(const char *what, u32 page) {
  printf("FAIL %s: page %u in round %lu\n", what, page, (unsigned long)turn);
  exit(1);
}

static u32 offset(u32 page) { return LO + page * (u32)PAGE_SIZE; }
static u64 *word(struct region *r, u32 page) { return (u64 *)region_ptr(r, offset(page)); }

static bool readable(struct region *r, u32 page, u64 *first) {
  struct iovec local = {first, 8}, remote = {word(r, page), 8};
  return process_vm_readv(getpid(), &local, 1, &remote, 1, 0) == 8;
}

static void check(struct region *r, const u64 *words, const bool *there, const char *who) {
  for (u32 i = 0; i < PAGES; i++) {
    u64 first = 0;
    bool can = readable(r, i, &first);
    if (can != there[i])
      fail(can ? "a hole can be read" : "a page cannot be read", i);
    if (can && (first != words[i] || word(r, i)[511] != words[i]))
      fail(who, i);
    holes += !can;
    compared++;
  }
}

static void map(struct region *r, u32 page, u32 n) {
  if (region_map(r, offset(page), n * (u32)PAGE_SIZE, REGION_READ | REGION_WRITE, REGION_COLD))
    fail("map", page);
  memset(want + page, 0, n * sizeof(*want));
  memset(mapped + page, true, n);
}

static void unmap(struct region *r, u32 page, u32 n) {
  if (region_unmap(r, offset(page), n * (u32)PAGE_SIZE, false))
    fail("unmap", page);
  memset(mapped + page, false, n);
  memset(want + page, 0, n * sizeof(*want));
}

static void write_page(struct region *r, u32 page, u64 value) {
  if (!mapped[page])
    return;
  word(r, page)[0] = word(r, page)[511] = value;
  want[page] = value;
}

/* There are never many holes, as in a real program. */
static void fill_holes(struct region *r) {
  for (u32 i = 0; i < PAGES; i++) {
    u32 end = i;
    while (end < PAGES && !mapped[end])
      end++;
    if (end > i && chance(60))
      map(r, i, end - i);
    i = end;
  }
}

static void change(struct region *r) {
  u32 page = below(PAGES - 200), n = 1 + below(chance(80) ? 6 : 200);
  switch (below(6)) {
  case 0:
    map(r, page, n);
    break;
  case 1:
    unmap(r, page, n);
    break;
  case 2: /* the top moves down and up */
    unmap(r, PAGES - n, n);
    if (chance(50))
      map(r, PAGES - n, n);
    break;
  case 3:
    if (region_discard(r, offset(page), n * (u32)PAGE_SIZE))
      fail("discard", page);
    memset(want + page, 0, n * sizeof(*want));
    break;
  case 4: /* inaccessible and back */
    map(r, page, n);
    if (region_protect(r, offset(page), n * (u32)PAGE_SIZE, 0) ||
        region_protect(r, offset(page), n * (u32)PAGE_SIZE, REGION_READ | REGION_WRITE))
      fail("protect", page);
    break;
  default:
    for (u32 i = 0; i < n; i++)
      write_page(r, page + i, (turn << 16) + i + 1);
  }
}

static bool is_whole(const struct region *r) {
  for (u32 i = 0; i < r->n_segs; i++)
    if (r->segs[i]->whole == r)
      return true;
  return false;
}

/* The parent goes on, or, when it has ended, the child: the region that is left. */
static struct region *fork_once(struct region *r) {
  static u64 then[PAGES];
  static bool there[PAGES];
  struct region_fork_args a = {.sp = 0};
  struct region *child;
  if (region_fork(r, &a, &child))
    fail("fork", 0);
  used += is_whole(r);
  memcpy(then, want, sizeof(want));
  memcpy(there, mapped, sizeof(mapped));
  for (u32 i = EARLY; i < EARLY + 10; i++) /* these alone: reading others would map them */
    if (mapped[i] && (word(r, i)[0] != want[i] || word(r, i)[511] != want[i]))
      fail("the parent's early page", i);
  for (u32 i = EARLY; i < EARLY + 10; i++)
    write_page(r, i, (turn << 16) + 0x8000 + i);
  region_begin(child);
  check(r, want, mapped, "the parent's contents");
  if (chance(20)) /* while it is frozen */
    change(r);
  check(child, then, there, "the child's contents");
  bool swap = chance(10);
  if (swap) {
    region_destroy(r);
    memcpy(want, then, sizeof(want));
    memcpy(mapped, there, sizeof(mapped));
    r = child;
  }
  for (u32 i = below(50); i < PAGES; i += 50)
    write_page(r, i, (turn << 16) + 0x4000 + i);
  check(r, want, mapped, "the survivor's contents");
  if (!swap) {
    check(child, then, there, "the child's contents in the end");
    region_destroy(child);
  }
  return r;
}

int main(void) {
  struct region *r;
  support_init();
  if (region_create(1, &r))
    fail("create", 0);
  map(r, 0, PAGES);
  for (turn = 1; turn <= ROUNDS; turn++) {
    for (u32 n = below(4); n > 0; n--)
      change(r);
    if (chance(50))
      fill_holes(r);
    if (chance(70))
      thaw_round();
    for (u32 n = chance(80) ? 1000 : below(6); n > 0 && seg_thaw_step(r, THAW_PART) > 0; n--)
      ;
    for (u32 n = below(3); n > 0; n--)
      change(r);
    for (u32 i = EARLY; i < EARLY + 10; i++) /* what a spare has copies of */
      write_page(r, i, (turn << 16) + 0x2000 + i);
    r->row = 0; /* no zygote */
    r = fork_once(r);
  }
  check(r, want, mapped, "the contents in the end");
  region_destroy(r);
  thaw_round();
  pool_drain();
  bool clean = regions_bytes_used() == 0 && memobj_bytes_used() == 0 && slots_in_use() == 0 &&
               support_host_mappings() == 0;
  bool enough = !seg_have_guards() || used > ROUNDS / 4;
  printf("%s, %lu pages compared, %lu holes, %lu of %d forks had a spare\n",
         clean && enough ? "ok" : "FAIL", (unsigned long)compared, (unsigned long)holes,
         (unsigned long)used, ROUNDS);
  return !(clean && enough);
}
