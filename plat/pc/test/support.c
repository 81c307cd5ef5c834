/* SPDX-License-Identifier: MIT */
#include "plat/pc/test/support.h"
#include "kernel/mm/kmalloc.h"
#include "kernel/plat.h"
#include "kernel/test/fake/kinds.h"
#include "plat/pc/frames.h"
#include "plat/pc/hotset.h"
#include "plat/pc/reclaim.h"
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static int fail_after = -1, live;

void support_fail_kmalloc(int after) { fail_after = after; }
int support_kmalloc_live(void) { return live; }

static bool fails(void) {
  if (fail_after > 0)
    fail_after--;
  return fail_after == 0;
}

void *kmalloc(size_t n) {
  void *p = fails() ? NULL : malloc(n);
  __atomic_add_fetch(&live, p != NULL, __ATOMIC_RELAXED);
  return p;
}

void *kzalloc(size_t n) {
  void *p = kmalloc(n);
  return p ? memset(p, 0, n) : NULL;
}

void kfree(void *p) {
  __atomic_sub_fetch(&live, p != NULL, __ATOMIC_RELAXED);
  free(p);
}

static u64 state = 88172645463325252u;
void plat_random(void *buf, size_t n) {
  for (size_t i = 0; i < n; i++) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    ((u8 *)buf)[i] = (u8)(state >> 32);
  }
}

void (*support_on_panic)(void);

_Noreturn void plat_panic(const char *why) {
  printf("FAIL panic: %s\n", why);
  if (support_on_panic)
    support_on_panic();
  fflush(stdout);
  abort();
}

void plat_relax(void) { sched_yield(); }

int plat_copy_in(void *dst, const void *user, size_t n) {
  memcpy(dst, user, n);
  return 0;
}
int plat_copy_out(void *user, const void *src, size_t n) {
  memcpy(user, src, n);
  return 0;
}

void support_init(u64 bytes) {
  const u64 hole = MIB(1);
  static struct frame_range ranges[2];
  void *want = phys_ptr(TEST_PHYS_LO);
  void *got = mmap(want, bytes + hole, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE | MAP_NORESERVE, -1, 0);
  if (got != want)
    abort();
  u64 half = round_down(bytes / 2, PAGE_SIZE);
  paddr late = TEST_PHYS_LO + half - hole; /* usable later, as the initramfs's is */
  ranges[0] = (struct frame_range){TEST_PHYS_LO, late};
  ranges[1] = (struct frame_range){TEST_PHYS_LO + half + hole, TEST_PHYS_LO + hole + bytes};
  memset(want, 0xcc, bytes + hole);
  frames_init(ranges, 2, 0);
  u64 before = frames_total();
  frames_add(late, late + hole);
  if (frames_total() != before + hole)
    abort();
}

void reclaim_kept(void) {
  region_trim();
  hotsets_drain();
}
