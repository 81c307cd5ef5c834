/* SPDX-License-Identifier: MIT */
/* Places in the text window: inside it, page-aligned, disjoint, spread, reused only when allowed.
 */
#include "kernel/mm/image_internal.h"
#include "kernel/test/fake/check.h"
#include "kernel/test/fake/fake.h"
#include <stdlib.h>

#define N 400

static struct { u32 addr, size; } r[N];

static bool overlaps(unsigned i) {
  for (unsigned k = 0; k < N; k++)
    if (k != i && r[k].addr && r[k].addr < r[i].addr + r[i].size &&
        r[i].addr < r[k].addr + r[k].size)
      return true;
  return false;
}

static void random_places(void) {
  int bad = 0;
  for (int step = 0; step < 20000; step++) {
    unsigned i = (unsigned)rand() % N;
    if (r[i].addr) {
      window_free(r[i].addr, r[i].size);
      r[i].addr = 0;
      continue;
    }
    r[i].size = (u32)(1 + rand() % 200) * PAGE_SIZE;
    r[i].addr = window_alloc(r[i].size);
    bad += r[i].addr < UF_WINDOW_LO || r[i].addr % PAGE_SIZE != 0 ||
           r[i].addr > UF_WINDOW_HI - r[i].size || overlaps(i);
  }
  CHECK(bad == 0);
  for (unsigned i = 0; i < N; i++)
    if (r[i].addr)
      window_free(r[i].addr, r[i].size);
}

/* Every second place is far from the one before: an address tells nothing about the next. */
static void spread(void) {
  int far = 0;
  for (int i = 0; i < 100; i++) {
    u32 a = window_alloc(PAGE_SIZE), b = window_alloc(PAGE_SIZE);
    far += (a > b ? a - b : b - a) > MIB(32);
    window_free(a, PAGE_SIZE);
    window_free(b, PAGE_SIZE);
  }
  CHECK(far > 70);
}

static void full(void) {
  u32 all = UF_WINDOW_HI - UF_WINDOW_LO;
  CHECK(window_alloc(all + PAGE_SIZE) == 0);
  CHECK(window_alloc(all) == UF_WINDOW_LO);
  CHECK(window_alloc(PAGE_SIZE) == 0);
  window_free(UF_WINDOW_LO, all);
}

/* Code was there: never again. Last test, it uses the window up. */
static void retired(void) {
  u32 half = MIB(200), a = window_alloc(half);
  CHECK(a != 0);
  window_retire(a, half);
  u32 n = 0, b;
  while ((b = window_alloc(MIB(1))) != 0) {
    CHECK(b + MIB(1) <= a || b >= a + half);
    n++;
  }
  CHECK(n > 100 && n <= 311);
}

int main(void) {
  srand(3);
  TEST(random_places);
  TEST(spread);
  TEST(full);
  TEST(retired);
  return check_summary("mm_window");
}
