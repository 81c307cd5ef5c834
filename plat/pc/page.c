/* SPDX-License-Identifier: MIT */
#include "plat/pc/page.h"
#include "lib/string.h"

#define CPUID_AVX (1u << 28)
#define CPUID_OSXSAVE (1u << 27)
#define CPUID_ERMS (1u << 9)    /* leaf 7 */
#define CPUID_XGETBV1 (1u << 2) /* leaf 13, 1: XGETBV tells what is in use */
#define XCR0_AVX 6u

#define BORROWED 4 /* ymm0 to ymm3 */
struct borrowed {
  u8 ymm[BORROWED][32];
  bool wide; /* upper halves were in use */
};

static bool use_avx, knows_use;

static void ask_cpu(u32 leaf, u32 sub, u32 *b, u32 *c, u32 *a) {
  u32 d;
  __asm__ volatile("cpuid" : "=a"(*a), "=b"(*b), "=c"(*c), "=d"(d) : "a"(leaf), "c"(sub));
}

static u32 xgetbv(u32 index) {
  u32 a, d;
  __asm__ volatile("xgetbv" : "=a"(a), "=d"(d) : "c"(index));
  return a;
}

void page_init(void) {
  u32 a, b, c, last;
  ask_cpu(0, 0, &b, &c, &last);
  ask_cpu(1, 0, &b, &c, &a);
  if (last < 13 || !(c & CPUID_OSXSAVE) || !(c & CPUID_AVX) || (xgetbv(0) & XCR0_AVX) != XCR0_AVX)
    return;
  ask_cpu(13, 1, &b, &c, &a);
  knows_use = a & CPUID_XGETBV1;
  ask_cpu(7, 0, &b, &c, &a);
  use_avx = !(b & CPUID_ERMS);
}

/* Upper halves that were not in use shall not be afterwards: it would make every switch slow. */
static inline __attribute__((always_inline)) void borrow(struct borrowed *s) {
  s->wide = !knows_use || xgetbv(1) & 4;
  __asm__ volatile("vmovdqu %%ymm0, (%0)\n\tvmovdqu %%ymm1, 32(%0)\n\t"
                   "vmovdqu %%ymm2, 64(%0)\n\tvmovdqu %%ymm3, 96(%0)"
                   :
                   : "r"(s->ymm)
                   : "memory");
}

static inline __attribute__((always_inline)) void give_back(const struct borrowed *s) {
  if (!s->wide)
    __asm__ volatile("vzeroupper\n\t"
                     "movdqu (%0), %%xmm0\n\tmovdqu 32(%0), %%xmm1\n\t"
                     "movdqu 64(%0), %%xmm2\n\tmovdqu 96(%0), %%xmm3"
                     :
                     : "r"(s->ymm)
                     : "memory");
  else
    __asm__ volatile("vmovdqu (%0), %%ymm0\n\tvmovdqu 32(%0), %%ymm1\n\t"
                     "vmovdqu 64(%0), %%ymm2\n\tvmovdqu 96(%0), %%ymm3"
                     :
                     : "r"(s->ymm)
                     : "memory");
}

/* 128 bytes at displacement d. */
#define LOAD(d)                                                                                    \
  "vmovdqa " #d "(%1), %%ymm0\n\tvmovdqa 32+" #d "(%1), %%ymm1\n\t"                                \
  "vmovdqa 64+" #d "(%1), %%ymm2\n\tvmovdqa 96+" #d "(%1), %%ymm3\n\t"
#define STORE(d)                                                                                   \
  "vmovdqa %%ymm0, " #d "(%0)\n\tvmovdqa %%ymm1, 32+" #d "(%0)\n\t"                                \
  "vmovdqa %%ymm2, 64+" #d "(%0)\n\tvmovdqa %%ymm3, 96+" #d "(%0)\n\t"
#define COPY(d) LOAD(d) STORE(d)
// NOLINTBEGIN(bugprone-macro-parentheses): the assembler adds
#define TIMES_8(what, d)                                                                           \
  what(d) what(128 + d) what(256 + d) what(384 + d) what(512 + d) what(640 + d) what(768 + d)      \
      what(896 + d)
// NOLINTEND(bugprone-macro-parentheses)
#define STEP 2048u

static inline __attribute__((always_inline)) void copy_one(void *to, const void *from) {
  u32 left = PAGE_SIZE / STEP;
  __asm__ volatile("1:\n\t" TIMES_8(COPY, 0) TIMES_8(COPY, 1024) "add $2048, %1\n\tadd $2048, "
                                                                 "%0\n\tdec %2\n\tjnz 1b"
                   : "+r"(to), "+r"(from), "+r"(left)
                   :
                   : "memory", "cc");
}

static __attribute__((noinline)) void copy_words(const struct page_pair *pages, unsigned n) {
  for (; n > 0; n--, pages++)
    memcpy(phys_ptr(pages->to), phys_ptr(pages->from), PAGE_SIZE);
}

void pages_copy(const struct page_pair *pages, unsigned n) {
  struct borrowed saved;
  if (unlikely(!use_avx)) {
    copy_words(pages, n);
    return;
  }
  borrow(&saved);
  for (; n > 0; n--, pages++)
    copy_one(phys_ptr(pages->to), phys_ptr(pages->from));
  give_back(&saved);
}

void page_clear(paddr p) {
  struct borrowed saved;
  void *to = phys_ptr(p);
  u32 left = PAGE_SIZE / STEP;
  if (!use_avx) {
    memset(to, 0, PAGE_SIZE);
    return;
  }
  borrow(&saved);
  __asm__ volatile("vpxor %%xmm0, %%xmm0, %%xmm0\n\tvmovdqa %%ymm0, %%ymm1\n\t"
                   "vmovdqa %%ymm0, %%ymm2\n\tvmovdqa %%ymm0, %%ymm3\n"
                   "1:\n\t" TIMES_8(STORE, 0)
                       TIMES_8(STORE, 1024) "add $2048, %0\n\tdec %1\n\tjnz 1b"
                   : "+r"(to), "+r"(left)
                   :
                   : "memory", "cc");
  give_back(&saved);
}
