/* SPDX-License-Identifier: MIT */
/* lib/string.c against the C library, for all small sizes, alignments and overlaps. */
#include "kernel/test/fake/check.h"
#include <stdlib.h>
#include <string.h>

/* The functions under test: the library is compiled with these names. */
void *uf_memcpy(void *dst, const void *src, size_t n);
void *uf_memmove(void *dst, const void *src, size_t n);
void *uf_memset(void *dst, int c, size_t n);
int uf_memcmp(const void *a, const void *b, size_t n);

#define SIZE 1200
static unsigned char a[SIZE], b[SIZE], want[SIZE];

static void fill(unsigned seed) {
  srand(seed);
  for (int i = 0; i < SIZE; i++)
    a[i] = want[i] = (unsigned char)rand(), b[i] = (unsigned char)rand();
}

static size_t size_of(unsigned i) { return i < 300 ? i : 300 + (i - 300) * 7; }

static void copies(void) {
  for (unsigned i = 0; i < 380; i++) {
    size_t n = size_of(i), to = i % 9, from = i % 11;
    fill(i);
    memcpy(want, a, SIZE);
    memcpy(want + to, b + from, n);
    CHECK(uf_memcpy(a + to, b + from, n) == a + to);
    CHECK(memcmp(a, want, SIZE) == 0);
  }
}

static void overlapping_moves(void) {
  for (unsigned i = 0; i < 380; i++)
    for (int shift = -20; shift <= 20; shift++) {
      size_t n = size_of(i);
      fill(i);
      memmove(want + 30 + shift, want + 30, n);
      CHECK(uf_memmove(a + 30 + shift, a + 30, n) == a + 30 + shift);
      CHECK(memcmp(a, want, SIZE) == 0);
    }
}

static void fills(void) {
  for (unsigned i = 0; i < 380; i++) {
    size_t n = size_of(i), at = i % 9;
    fill(i);
    memset(want + at, (int)(i * 37), n);
    CHECK(uf_memset(a + at, (int)(i * 37), n) == a + at);
    CHECK(memcmp(a, want, SIZE) == 0);
  }
}

static int sign(int v) { return (v > 0) - (v < 0); }

static void comparisons(void) {
  for (unsigned i = 0; i < 2000; i++) {
    size_t n = (size_t)rand() % 40, at = n ? (size_t)rand() % n : 0;
    fill(i);
    memcpy(b, a, SIZE);
    CHECK(uf_memcmp(a, b, n) == 0);
    b[at] = (unsigned char)rand();
    CHECK(sign(uf_memcmp(a, b, n)) == sign(memcmp(a, b, n)));
  }
}

int main(void) {
  TEST(copies);
  TEST(overlapping_moves);
  TEST(fills);
  TEST(comparisons);
  return check_summary("test_string");
}
