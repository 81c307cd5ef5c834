/* SPDX-License-Identifier: MIT */
/* Safe points and canonicalization: every interior point of every kind of sequence. */
#include "../sequence.h"
#include "snippet.h"
#include "test.h"
#include <string.h>

enum { SIZE = 64, VADDR = 0x200000 };
#define BASE 0x7f0000000000u

static uint8_t code[SIZE], safe[SIZE / 8], scratch[SIZE / 8];
static const struct ufv_text text = {code, SIZE, VADDR};

static void load(const char *bytes, size_t n) {
  struct ufv_error e;
  memset(code, 0xcc, SIZE);
  memcpy(code, bytes, n);
  CHECK(ufv_check(&text, safe, scratch, &e) == UFV_OK, "sequence refused: %s",
        ufv_rule_text(e.rule));
}

static const struct ufv_regs interrupted = {
    .rsp = 0x123456789, .rsi = BASE + 0x11111111, .rdi = BASE + 0x22222222, .base = BASE};

/* Interrupts at offset `at`; wants rip at `to` and reports which registers changed how. */
static struct ufv_regs canonicalize(uint32_t at, uint32_t to) {
  struct ufv_regs r = interrupted;
  r.rip = VADDR + at;
  int result = ufv_canonicalize(&text, safe, &r);
  CHECK(result == 0, "offset %u: refused", at);
  CHECK(r.rip == VADDR + to, "offset %u: went to %u, want %u", at, (unsigned)(r.rip - VADDR), to);
  CHECK(ufv_is_safe_point(&text, safe, r.rip - VADDR), "offset %u: not moved to a safe point", at);
  CHECK(r.base == BASE, "base changed");
  return r;
}

static void expect(struct ufv_regs r, uint64_t rsp, uint64_t rsi, uint64_t rdi) {
  CHECK(r.rsp == rsp && r.rsi == rsi && r.rdi == rdi, "rsp %llx rsi %llx rdi %llx",
        (unsigned long long)r.rsp, (unsigned long long)r.rsi, (unsigned long long)r.rdi);
}

static void refuse(uint64_t rip) {
  struct ufv_regs r = interrupted, before;
  r.rip = rip;
  before = r;
  CHECK(ufv_canonicalize(&text, safe, &r) == -1, "accepted rip %llx", (unsigned long long)rip);
  CHECK(memcmp(&r, &before, sizeof r) == 0, "changed registers");
}

#define RSP interrupted.rsp
#define RSI interrupted.rsi
#define RDI interrupted.rdi
#define RSI32 (uint32_t) interrupted.rsi
#define RDI32 (uint32_t) interrupted.rdi

static void test_s1(void) {
  load("\x81\xe1\xe0\xff\xff\x1f\xff\xe1", 8); /* and ; jmp *%rcx */
  expect(canonicalize(0, 0), RSP, RSI, RDI);
  expect(canonicalize(6, 0), RSP, RSI, RDI);
  refuse(VADDR + 1);
  refuse(VADDR + 7);
}

static void test_s2(void) {
  load("\x4d\x8b\x1f\x89\xec\x4a\x8d\x24\x1c", 9); /* mov ; mov %ebp,%esp ; lea */
  expect(canonicalize(0, 0), RSP, RSI, RDI);
  expect(canonicalize(3, 0), RSP, RSI, RDI);
  expect(canonicalize(5, 9), BASE + (uint32_t)RSP, RSI, RDI);
  expect(canonicalize(9, 9), RSP, RSI, RDI);
  refuse(VADDR + 4);
  refuse(VADDR + 8);
}

static void test_s3_stos(void) {
  /* mov ; mov %edi,%edi ; lea ; rep stosb ; mov %edi,%edi */
  load("\x4d\x8b\x1f\x89\xff\x49\x8d\x3c\x3b\xf3\xaa\x89\xff", 13);
  expect(canonicalize(0, 0), RSP, RSI, RDI);
  expect(canonicalize(3, 0), RSP, RSI, RDI32);
  expect(canonicalize(5, 0), RSP, RSI, RDI32);
  expect(canonicalize(9, 0), RSP, RSI, RDI32);
  expect(canonicalize(11, 13), RSP, RSI, RDI32);
  expect(canonicalize(13, 13), RSP, RSI, RDI);
  refuse(VADDR + 10);
}

static void test_s3_lods(void) {
  load("\x4d\x8b\x1f\x89\xf6\x49\x8d\x34\x33\xac\x89\xf6", 12);
  expect(canonicalize(9, 0), RSP, RSI32, RDI);
  expect(canonicalize(10, 12), RSP, RSI32, RDI);
}

static void test_s3_movs(void) {
  load("\x4d\x8b\x1f\x89\xff\x49\x8d\x3c\x3b\x89\xf6\x49\x8d\x34\x33\xf3\xa4\x89\xff\x89\xf6", 21);
  static const uint8_t back[] = {3, 5, 9, 11, 15}, forward[] = {17, 19};
  for (unsigned i = 0; i < sizeof back; i++)
    expect(canonicalize(back[i], 0), RSP, RSI32, RDI32);
  for (unsigned i = 0; i < sizeof forward; i++)
    expect(canonicalize(forward[i], 21), RSP, RSI32, RDI32);
}

/* In all accepted code, every offset canonicalizes to a safe point or is refused. */
static void test_all_offsets(void) {
  for (const struct snippet *s = accept_cases; s < accept_end; s++) {
    uint8_t map[32], other[32];
    struct ufv_text t = {s->start, snippet_size(s), VADDR};
    struct ufv_error e;
    if (ufv_check(&t, map, other, &e))
      continue; /* test_cases reports it */
    for (uint32_t at = 0; at < t.size; at++) {
      struct ufv_regs r = interrupted;
      r.rip = VADDR + at;
      int result = ufv_canonicalize(&t, map, &r);
      bool safe_now = ufv_is_safe_point(&t, map, r.rip - VADDR);
      CHECK(safe_now == (result == 0), "`%s` offset %u: result %d, safe %d", s->source, at, result,
            safe_now);
    }
  }
}

static void test_points(void) {
  load("\x4d\x8b\x1f\x89\xec\x4a\x8d\x24\x1c", 9);
  refuse(0);
  refuse(VADDR - 1);
  refuse(VADDR + SIZE);
  refuse(UINT64_MAX);
  refuse(VADDR + 0x100000000u);
  CHECK(!ufv_is_safe_point(&text, safe, SIZE), "end of text is safe");
  CHECK(!ufv_is_safe_point(&text, safe, UINT64_MAX), "wild offset is safe");
  CHECK(ufv_is_entry(&text, VADDR) && ufv_is_entry(&text, VADDR + 32), "entry refused");
  CHECK(!ufv_is_entry(&text, VADDR + 16) && !ufv_is_entry(&text, VADDR + SIZE) &&
            !ufv_is_entry(&text, VADDR - 32) && !ufv_is_entry(&text, VADDR + 0x100000000u),
        "bad entry accepted");
}

void test_sequences(void) {
  test_s1();
  test_s2();
  test_s3_stos();
  test_s3_lods();
  test_s3_movs();
  test_all_offsets();
  test_points();
}
