/* SPDX-License-Identifier: MIT */
/*
 * Stand-ins: a process with a large segment, a small one, hot memory and a shared object forks,
 * changes mappings, writes, forks again; some children outlive the next fork, or their parent. What
 * all see is compared with a model page by page, holes included. Most forks are allowed to move the
 * parent to its stand-in, and whatever happened since that was made must show there.
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
#define LARGE 2400u
#define HOT_LO 0x20000000u
#define HOT 24u
#define SMALL_LO 0x28000000u
#define SMALL 80u
#define PAGES (LARGE + HOT + SMALL)
#define OBJECT_LO 0x30000000u
#define OBJECT 4u
#define EARLY 40u /* pages from here on are written after each fork */
#define ROUNDS 400

static u64 want[PAGES]; /* first word of each page; 0 in pages without one */
static bool mapped[PAGES];
static u64 turn, moved, refused, holes, compared, shared_value;
static bool failing;

static _Noreturn void fail(const char *what, u32 page) {
  printf("FAIL %s: page %u in round %lu\n", what, page, (unsigned long)turn);
  exit(1);
}

static u32 offset(u32 page) {
  u32 size = (u32)PAGE_SIZE;
  if (page < LARGE)
    return LO + page * size;
  page -= LARGE;
  return page < HOT ? HOT_LO + page * size : SMALL_LO + (page - HOT) * size;
}
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
  if (region_map(r, offset(page), n * (u32)PAGE_SIZE, REGION_READ | REGION_WRITE,
                 page >= LARGE && page < LARGE + HOT ? REGION_HOT : REGION_COLD))
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
    while (end < PAGES && !mapped[end] && (end == i || (end != LARGE && end != LARGE + HOT)))
      end++;
    if (end > i && chance(80))
      map(r, i, end - i);
    if (end > i)
      i = end - 1;
  }
}

static void change(struct region *r) {
  u32 page = below(LARGE - 200), n = 1 + below(chance(80) ? 6 : 200);
  if (chance(15)) { /* the small ones change seldom */
    n = 1 + below(8);
    page = LARGE + below(HOT + SMALL - 8);
    if (page < LARGE + HOT)
      n = page + n > LARGE + HOT ? 1 : n;
  }
  switch (below(6)) {
  case 0:
    map(r, page, n);
    break;
  case 1:
    unmap(r, page, n);
    break;
  case 2: /* the top moves down and up */
    unmap(r, LARGE - n, n);
    if (chance(50))
      map(r, LARGE - n, n);
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

/* A child that lives on, and what it is to see. */
struct kept {
  struct region *r;
  u64 want[PAGES];
  bool mapped[PAGES];
};
static struct kept older;

static void check_object(struct region *r) {
  for (u32 i = 0; i < OBJECT; i++)
    if (*(u64 *)region_ptr(r, OBJECT_LO + i * (u32)PAGE_SIZE) != shared_value + i)
      fail("the shared object", i);
}

static void end_older(void) {
  if (!older.r)
    return;
  check(older.r, older.want, older.mapped, "the older child's contents in the end");
  check_object(older.r);
  region_destroy(older.r);
  older.r = NULL;
}

static struct region *fork_it(struct region *r, bool may_move) {
  struct region_fork_args a = {.may_move = may_move};
  struct region *child;
  u64 base = r->base;
  support_fail_allocations(failing ? 1 + below(6) : 0);
  int err = region_fork(r, &a, &child);
  support_fail_allocations(0);
  if (err && !failing)
    fail("fork", 0);
  if (r->base != base && !may_move)
    fail("moved without leave", 0);
  moved += r->base != base;
  refused += err != 0;
  return err ? NULL : child;
}

/* The parent goes on, or, when it has ended, the child: the region that is left. */
static struct region *fork_once(struct region *r) {
  static u64 then[PAGES];
  static bool there[PAGES];
  failing = chance(15);
  struct region *child = fork_it(r, chance(93));
  memcpy(then, want, sizeof(want));
  memcpy(there, mapped, sizeof(mapped));
  for (u32 i = EARLY; i < EARLY + 10; i++) /* these alone: reading others would map them */
    if (mapped[i] && (word(r, i)[0] != want[i] || word(r, i)[511] != want[i]))
      fail("the parent's early page", i);
  for (u32 i = EARLY; i < EARLY + 10; i++)
    write_page(r, i, (turn << 16) + 0x8000 + i);
  if (child)
    region_begin(child);
  check(r, want, mapped, "the parent's contents");
  check_object(r);
  if (chance(20)) /* while it is frozen */
    change(r);
  if (!child)
    return r;
  check(child, then, there, "the child's contents");
  *(u64 *)region_ptr(child, OBJECT_LO) = shared_value += 10;
  for (u32 i = 1; i < OBJECT; i++)
    *(u64 *)region_ptr(child, OBJECT_LO + i * (u32)PAGE_SIZE) = shared_value + i;
  end_older();
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
  if (swap)
    return r;
  check(child, then, there, "the child's contents in the end");
  if (chance(20)) {
    older.r = child;
    memcpy(older.want, then, sizeof(then));
    memcpy(older.mapped, there, sizeof(there));
  } else {
    region_destroy(child);
  }
  return r;
}

static void map_object(struct region *r) {
  struct memobj *o;
  if (memobj_create(OBJECT * PAGE_SIZE, &o) ||
      region_map_object(r, OBJECT_LO, OBJECT * (u32)PAGE_SIZE, REGION_READ | REGION_WRITE, o, 0))
    fail("map the object", 0);
  memobj_put(o);
  for (u32 i = 0; i < OBJECT; i++)
    *(u64 *)region_ptr(r, OBJECT_LO + i * (u32)PAGE_SIZE) = i;
}

int main(void) {
  struct region *r;
  support_init();
  if (region_create(1, &r))
    fail("create", 0);
  map(r, 0, LARGE);
  map(r, LARGE, HOT);
  map(r, LARGE + HOT, SMALL);
  map_object(r);
  for (turn = 1; turn <= ROUNDS; turn++) {
    for (u32 n = below(4); n > 0; n--)
      change(r);
    if (chance(80))
      fill_holes(r);
    if (chance(70))
      thaw_round();
    for (u32 n = chance(80) ? 1000 : below(6); n > 0 && seg_thaw_step(r, THAW_PART) > 0; n--)
      ;
    for (u32 n = below(3); n > 0; n--)
      change(r);
    for (u32 i = EARLY; i < EARLY + 10; i++) /* what a stand-in has pages for */
      write_page(r, i, (turn << 16) + 0x2000 + i);
    for (u32 n = below(5); n > 0; n--)
      write_page(r, LARGE + below(HOT + SMALL), (turn << 16) + 0x1000 + n);
    r->row = 0; /* no zygote */
    r = fork_once(r);
  }
  end_older();
  check(r, want, mapped, "the contents in the end");
  check_object(r);
  region_destroy(r);
  thaw_round();
  pool_drain();
  bool clean = regions_bytes_used() == 0 && memobj_bytes_used() == 0 && slots_in_use() == 0 &&
               stand_ins() == 0 && support_host_mappings() == 0;
  bool enough = moved > ROUNDS / 4;
  printf("%s, %lu pages compared, %lu holes, %lu of %d forks moved the parent, %lu failed\n",
         clean && enough ? "ok" : "FAIL", (unsigned long)compared, (unsigned long)holes,
         (unsigned long)moved, ROUNDS, (unsigned long)refused);
  return !(clean && enough);
}
