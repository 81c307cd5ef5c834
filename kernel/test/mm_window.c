/* SPDX-License-Identifier: MIT */
/* Places in the text window: inside it, page-aligned, disjoint, spread, reused only when allowed.
 */
#include "kernel/mm/image_internal.h"
#include "kernel/proc/proc.h"
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

/* ---- where code was ---------------------------------------------------------------------- */

static struct proc proc;
static struct thread thread[2];
static struct uregs regs[2];

void proc_for_each(void (*f)(struct proc *p, void *arg), void *arg) { f(&proc, arg); }

static void two_threads(void) {
  fake_ncpus = 2;
  list_init(&proc.threads);
  for (u32 i = 0; i < 2; i++) {
    thread[i].cpu = i;
    thread[i].uregs = &regs[i];
    list_push_back(&proc.threads, &thread[i].proc_node);
  }
  fake_become(&thread[0]);
}

/* Used again only after every CPU was in the kernel, and not under a thread's feet. */
static void retired(void) {
  u32 all = UF_WINDOW_HI - UF_WINDOW_LO, a = window_alloc(all), n;
  two_threads();
  window_retire(a, all);
  CHECK(window_alloc(PAGE_SIZE) == 0 && fake_kicks > 0); /* CPU 1 may still run there */
  fake_become(&thread[1]);
  image_quiesce();
  fake_become(&thread[0]);
  regs[1].rip = a + 12345; /* interrupted there */
  CHECK(window_alloc(PAGE_SIZE) == 0);
  regs[1].rip = a + all;
  CHECK((n = window_alloc(PAGE_SIZE)) != 0);
  window_free(n, PAGE_SIZE);
  CHECK((n = window_alloc(all)) == a);
  window_free(n, all);
}

/* Only what is retired comes back; what is in use never does. */
static void retired_in_parts(void) {
  u32 a = window_alloc(MIB(200)), small[600], n = 0, b;
  while (n < 600 && (b = window_alloc(MIB(1))) != 0)
    small[n++] = b;
  CHECK(n > 150 && n < 312);
  window_retire(a, MIB(200));
  fake_become(&thread[1]);
  image_quiesce();
  fake_become(&thread[0]);
  b = window_alloc(MIB(199));
  CHECK(b > a - MIB(1) && b < a + MIB(2));
  for (u32 i = 0; i < n; i++)
    CHECK(small[i] + MIB(1) <= b || small[i] >= b + MIB(199));
  CHECK(window_alloc(MIB(100)) == 0);
}

int main(void) {
  srand(3);
  TEST(random_places);
  TEST(spread);
  TEST(full);
  TEST(retired);
  TEST(retired_in_parts);
  return check_summary("mm_window");
}
