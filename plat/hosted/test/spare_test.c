/* SPDX-License-Identifier: MIT */
/*
 * Spares: a process with a large segment forks, changes mappings inside of it, writes, forks again;
 * its child lives for a while. What both see is compared with a model page by page, holes included.
 * Whatever happened to the segment since its spare was made must show in the next freeze, which
 * mostly uses one.
 */
#include "plat/hosted/seg.h"
#include "plat/hosted/test/page_model.h"
#include "plat/hosted/test/support.h"
#include <stdio.h>

#define PAGES 2400u
#define EARLY 40u /* this page and the next ones are written after each fork */
#define EARLY_PAGES 10u
#define ROUNDS 400

static u64 used;

static void change(struct region *r) {
  u32 page = below(PAGES - 200);
  model_change(r, page, 1 + below(chance(80) ? 6 : 200));
}

static void write_early(struct region *r, u64 value) {
  for (u32 i = EARLY; i < EARLY + EARLY_PAGES; i++)
    model_write(r, i, (model_turn << 16) + value + i);
}

static bool is_whole(const struct region *r) {
  for (u32 i = 0; i < r->n_segs; i++)
    if (r->segs[i]->whole == r)
      return true;
  return false;
}

/* The parent goes on, or, when it has ended, the child: the region that is left. */
static struct region *fork_once(struct region *r) {
  static struct page_model then;
  struct region_fork_args a = {.sp = 0};
  struct region *child;
  if (region_fork(r, &a, &child))
    model_fail("fork", 0);
  used += is_whole(r);
  then = model;
  model_check_some(r, EARLY, EARLY_PAGES, "the parent's early page");
  write_early(r, 0x8000);
  if (support_watched())
    region_after_fork(r);
  region_begin(child);
  model_check(r, &model, "the parent's contents");
  if (chance(20)) /* while it is frozen */
    change(r);
  model_check(child, &then, "the child's contents");
  bool swap = chance(10);
  if (swap) {
    region_destroy(r);
    model = then;
    r = child;
  }
  for (u32 i = below(50); i < PAGES; i += 50)
    model_write(r, i, (model_turn << 16) + 0x4000 + i);
  model_check(r, &model, "the survivor's contents");
  if (!swap) {
    model_check(child, &then, "the child's contents in the end");
    region_destroy(child);
  }
  return r;
}

int main(void) {
  static const struct model_range all = {0x40000000, PAGES, REGION_COLD};
  struct region *r;
  support_init();
  if (region_create(1, &r))
    model_fail("create", 0);
  model_begin(r, &all, 1);
  for (model_turn = 1; model_turn <= ROUNDS; model_turn++) {
    for (u32 n = below(4); n > 0; n--)
      change(r);
    if (chance(50))
      model_fill_holes(r, 60);
    if (chance(70))
      thaw_round();
    for (u32 n = chance(80) ? 1000 : below(6); n > 0 && seg_thaw_step(r, THAW_PART) > 0; n--)
      ;
    for (u32 n = below(3); n > 0; n--)
      change(r);
    write_early(r, 0x2000); /* what a spare has copies of */
    r->row = 0;             /* no zygote */
    r = fork_once(r);
  }
  model_check(r, &model, "the contents in the end");
  region_destroy(r);
  thaw_round();
  pool_drain();
  bool clean = regions_bytes_used() == 0 && memobj_bytes_used() == 0 && slots_in_use() == 0 &&
               support_host_mappings() == 0;
  bool enough = !seg_have_guards() || used > ROUNDS / 4;
  printf("%s, %lu pages compared, %lu holes, %lu of %d forks had a spare\n",
         clean && enough ? "ok" : "FAIL", (unsigned long)model_compared, (unsigned long)model_holes,
         (unsigned long)used, ROUNDS);
  return !(clean && enough);
}
