/* SPDX-License-Identifier: MIT */
/* Pages are copied and cleared by both methods, and the vector registers stay what they were. */
#include "plat/pc/page.c"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAGES 3

static u8 source[PAGES][PAGE_SIZE] __attribute__((aligned(PAGE_SIZE)));
static u8 target[PAGES + 2][PAGE_SIZE] __attribute__((aligned(PAGE_SIZE)));
static u8 before[8][32], after[8][32];
static int failures;

static void check(bool ok, const char *what) {
  if (!ok)
    printf("FAIL page_test: %s\n", what);
  failures += !ok;
}

/* f with the registers loaded from `before`, and stored to `after`; wide: with their upper halves.
 */
static void with_registers(void (*f)(void), bool wide) {
  if (wide)
    __asm__ volatile("vmovdqu (%0), %%ymm0\n\tvmovdqu 32(%0), %%ymm1\n\t"
                     "vmovdqu 64(%0), %%ymm2\n\tvmovdqu 96(%0), %%ymm3\n\t"
                     "vmovdqu 128(%0), %%ymm4\n\tvmovdqu 160(%0), %%ymm5\n\t"
                     "vmovdqu 192(%0), %%ymm6\n\tvmovdqu 224(%0), %%ymm7" ::"r"(before));
  else
    __asm__ volatile("vzeroall\n\tmovdqu (%0), %%xmm0\n\tmovdqu 32(%0), %%xmm1\n\t"
                     "movdqu 64(%0), %%xmm2\n\tmovdqu 96(%0), %%xmm3\n\t"
                     "movdqu 128(%0), %%xmm4\n\tmovdqu 160(%0), %%xmm5\n\t"
                     "movdqu 192(%0), %%xmm6\n\tmovdqu 224(%0), %%xmm7" ::"r"(before));
  f();
  __asm__ volatile("vmovdqu %%ymm0, (%0)\n\tvmovdqu %%ymm1, 32(%0)\n\t"
                   "vmovdqu %%ymm2, 64(%0)\n\tvmovdqu %%ymm3, 96(%0)\n\t"
                   "vmovdqu %%ymm4, 128(%0)\n\tvmovdqu %%ymm5, 160(%0)\n\t"
                   "vmovdqu %%ymm6, 192(%0)\n\tvmovdqu %%ymm7, 224(%0)\n\tvzeroupper" ::"r"(after)
                   : "memory");
}

static void copy_all(void) {
  struct page_pair pairs[PAGES];
  for (unsigned i = 0; i < PAGES; i++)
    pairs[i] = (struct page_pair){(paddr)source[i], (paddr)target[i + 1]};
  pages_copy(pairs, PAGES);
}

static void clear_one(void) { page_clear((paddr)target[2]); }

static bool all(const u8 *page, u8 value) {
  for (unsigned i = 0; i < PAGE_SIZE; i++)
    if (page[i] != value)
      return false;
  return true;
}

static bool all_zero(const u8 *half) {
  u8 sum = 0;
  for (unsigned i = 0; i < 16; i++)
    sum |= half[i];
  return sum == 0;
}

static void check_registers(bool wide) {
  for (unsigned i = 0; i < 8; i++) {
    check(!memcmp(before[i], after[i], 16), "lower halves");
    check(wide ? !memcmp(before[i] + 16, after[i] + 16, 16) : all_zero(after[i] + 16),
          "upper halves");
  }
}

static void round_of(bool wide) {
  for (unsigned i = 0; i < sizeof(source); i++)
    source[0][i] = (u8)rand();
  for (unsigned i = 0; i < sizeof(before); i++)
    before[0][i] = (u8)rand();
  memset(target, 0x5a, sizeof(target));
  with_registers(copy_all, wide);
  check_registers(wide);
  check(!memcmp(target[1], source, sizeof(source)), "copy");
  with_registers(clear_one, wide);
  check_registers(wide);
  check(all(target[2], 0), "clear");
  check(!memcmp(target[1], source[0], PAGE_SIZE) && !memcmp(target[3], source[2], PAGE_SIZE) &&
            all(target[0], 0x5a) && all(target[4], 0x5a),
        "pages beside it");
}

int main(void) {
  int methods = 1;
  page_init();
  use_avx = false;
  copy_all();
  check(!memcmp(target[1], source, sizeof(source)), "string instructions");
  if (__builtin_cpu_supports("avx")) {
    methods++;
    use_avx = true;
    for (int i = 0; i < 200; i++)
      round_of(i & 1);
  }
  printf("%s page_test: %d methods\n", failures ? "FAIL" : "ok", methods);
  return failures != 0;
}
