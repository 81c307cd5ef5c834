/* SPDX-License-Identifier: MIT */
/*
 * Stand-ins: a process with a large segment, a small one, hot memory and a shared object forks,
 * changes mappings, writes, forks again; some children outlive the next fork, or their parent. What
 * all see is compared with a model page by page, holes included. Most forks are allowed to move the
 * parent to its stand-in, and whatever happened since that was made must show there.
 */
#include "plat/hosted/seg.h"
#include "plat/hosted/test/page_model.h"
#include "plat/hosted/test/support.h"
#include <stdio.h>

#define LARGE 2400u
#define HOT 24u
#define SMALL 130u
#define PAGES (LARGE + HOT + SMALL)
#define OBJECT_LO 0x30000000u
#define OBJECT 4u
#define EARLY (40u + model_turn / 8 % 16 * EARLY_PAGES) /* from here on, written after forks */
#define EARLY_PAGES 10u
#define ROUNDS 400
#define FIRST_FORKS 60

static const struct model_range ranges[] = {
    {0x40000000, LARGE, REGION_COLD},
    {0x20000000, HOT, REGION_HOT},
    {0x28000000, SMALL, REGION_COLD},
};

static u64 moved, moved_first, refused, shared_value;
static bool failing;

static void change(struct region *r) {
  u32 page = below(LARGE - 200), n = 1 + below(chance(80) ? 6 : 200);
  if (chance(15)) { /* the small ones change seldom */
    n = 1 + below(8);
    page = LARGE + below(HOT + SMALL - 8);
    if (page < LARGE + HOT)
      n = page + n > LARGE + HOT ? 1 : n;
  }
  model_change(r, page, n);
}

static void write_early(struct region *r, u64 value) {
  for (u32 i = EARLY; i < EARLY + EARLY_PAGES; i++)
    model_write(r, i, (model_turn << 16) + value + i);
}

/* ---- the shared object ----------------------------------------------------------------------- */

static u64 *object_word(struct region *r, u32 page) {
  return (u64 *)region_ptr(r, OBJECT_LO + page * (u32)PAGE_SIZE);
}

static void check_object(struct region *r) {
  for (u32 i = 0; i < OBJECT; i++)
    if (*object_word(r, i) != shared_value + i)
      model_fail("the shared object", i);
}

static void write_object(struct region *r) {
  for (u32 i = 0; i < OBJECT; i++)
    *object_word(r, i) = shared_value + i;
}

static void map_object(struct region *r) {
  struct memobj *o;
  if (memobj_create(OBJECT * PAGE_SIZE, &o) ||
      region_map_object(r, OBJECT_LO, OBJECT * (u32)PAGE_SIZE, REGION_READ | REGION_WRITE, o, 0))
    model_fail("map the object", 0);
  memobj_put(o);
  write_object(r);
}

/* ---- forks ----------------------------------------------------------------------------------- */

/* A child that lives on, and what it is to see. */
static struct {
  struct region *r;
  struct page_model sees;
} older;

static void end_older(void) {
  if (!older.r)
    return;
  model_check(older.r, &older.sees, "the older child's contents in the end");
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
    model_fail("fork", 0);
  if (r->base != base && !may_move)
    model_fail("moved without leave", 0);
  moved += r->base != base;
  refused += err != 0;
  return err ? NULL : child;
}

/* The parent goes on, or, when it has ended, the child: the region that is left. */
static struct region *fork_once(struct region *r) {
  static struct page_model then;
  failing = chance(15);
  struct region *child = fork_it(r, chance(93));
  then = model;
  model_check_some(r, EARLY, EARLY_PAGES, "the parent's early page");
  write_early(r, 0x8000);
  if (support_watched())
    region_after_fork(r);
  if (child && chance(90))
    region_begin(child);
  model_check(r, &model, "the parent's contents");
  check_object(r);
  if (chance(20)) /* while it is frozen */
    change(r);
  if (!child)
    return r;
  region_begin(child);
  model_check(child, &then, "the child's contents");
  shared_value += 10;
  write_object(child);
  end_older();
  bool swap = chance(10);
  if (swap) {
    region_destroy(r);
    model = then;
    r = child;
  }
  for (u32 i = below(50); i < PAGES; i += 50)
    model_write(r, i, (model_turn << 16) + 0x4000 + i);
  model_check(r, &model, "the survivor's contents");
  if (swap)
    return r;
  model_check(child, &then, "the child's contents in the end");
  if (chance(20)) {
    older.r = child;
    older.sees = then;
  } else {
    region_destroy(child);
  }
  return r;
}

static struct region *begin(void) {
  struct region *r;
  if (region_create(1, &r))
    model_fail("create", 0);
  model_begin(r, ranges, sizeof(ranges) / sizeof(*ranges));
  map_object(r);
  return r;
}

static void end(struct region *r) {
  end_older();
  model_check(r, &model, "the contents in the end");
  check_object(r);
  region_destroy(r);
}

/* A region that has become large and has not forked yet is made ready for it. */
static void fork_first(void) {
  struct region *r = begin();
  bool whole = chance(70);
  for (u32 n = below(6); n > 0; n--)
    change(r);
  if (whole)
    model_fill_holes(r, 100);
  for (u32 n = 0; n < 1000 && !r->stand_in; n++)
    thaw_round();
  if (whole && !r->stand_in)
    model_fail("no stand-in", 0);
  model_check(r, &model, "what has been made ready");
  for (u32 n = below(6); n > 0; n--)
    change(r);
  u64 before = moved;
  r = fork_once(r);
  moved_first += moved - before;
  end(r);
}

int main(void) {
  support_init();
  for (model_turn = 1; model_turn <= FIRST_FORKS; model_turn++)
    fork_first();
  moved = 0;
  struct region *r = begin();
  for (model_turn = 1; model_turn <= ROUNDS; model_turn++) {
    for (u32 n = below(4); n > 0; n--)
      change(r);
    if (chance(80))
      model_fill_holes(r, 80);
    if (chance(70))
      thaw_round();
    for (u32 n = chance(80) ? 1000 : below(6); n > 0 && seg_thaw_step(r, THAW_PART) > 0; n--)
      ;
    for (u32 n = below(3); n > 0; n--)
      change(r);
    write_early(r, 0x2000);                   /* what a stand-in has pages for */
    u32 writes = chance(70) ? below(5) : 150; /* so many that fork does not leave them private */
    for (u32 n = writes; n > 0; n--)
      model_write(r, LARGE + below(HOT + SMALL), (model_turn << 16) + 0x1000 + n);
    r->row = 0; /* no zygote */
    r = fork_once(r);
  }
  end(r);
  thaw_round();
  pool_drain();
  bool clean = regions_bytes_used() == 0 && memobj_bytes_used() == 0 && slots_in_use() == 0 &&
               stand_ins() == 0 && support_host_mappings() == 0;
  bool enough = moved > ROUNDS / 8 && moved_first > FIRST_FORKS / 2;
  printf(
      "%s, %lu pages compared, %lu holes, %lu of %d forks moved the parent, %lu failed, %lu of %d "
      "first ones moved it\n",
      clean && enough ? "ok" : "FAIL", (unsigned long)model_compared, (unsigned long)model_holes,
      (unsigned long)moved, ROUNDS, (unsigned long)refused, (unsigned long)moved_first,
      FIRST_FORKS);
  return !(clean && enough);
}
