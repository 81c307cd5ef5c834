/* SPDX-License-Identifier: MIT */
/* Every snippet of refuse.S breaks its rule, every snippet of accept.S none. */
#include "reference.h"
#include "snippet.h"
#include "test.h"
#include <stdlib.h>
#include <string.h>

/* Checks a copy on the heap of exactly that size, so that a sanitizer sees reads beyond it. */
static struct ufv_error check(const uint8_t *code, uint32_t size, const char *source) {
  uint8_t *copy = malloc(size ? size : 1), *safe = malloc(size / 8 + 1);
  uint8_t *scratch = malloc(size / 8 + 1);
  struct ufv_text t = {copy, size, 0x200000};
  struct ufv_error e;
  memcpy(copy, code, size);
  enum ufv_rule r = ufv_check(&t, safe, scratch, &e);
  CHECK(r == e.rule, "result %d, error %d", r, e.rule);
  CHECK(r || reference_accepts(copy, size),
        "`%s`: accepted, the reference checker refuses it: %s at %zu", source, reference_reason,
        reference_offset);
  free(copy);
  free(scratch);
  free(safe);
  return e;
}

static void run(const struct snippet *from, const struct snippet *to) {
  for (const struct snippet *s = from; s < to; s++) {
    struct ufv_error e = check(s->start, snippet_size(s), s->source);
    CHECK(strcmp(ufv_rule_name(e.rule), s->rule) == 0, "`%s`: got %s at %u+%u, want %s", s->source,
          ufv_rule_name(e.rule), e.offset, e.length, s->rule);
    CHECK(e.offset + e.length <= snippet_size(s) + (e.rule == UFV_SHAPE) || e.rule == UFV_BUNDLE,
          "`%s`: error outside the text", s->source);
  }
}

/* Every rule has a snippet that breaks it. */
static void test_rules_covered(void) {
  for (int rule = UFV_OK + 1; rule < UFV_RULE_COUNT; rule++) {
    bool found = false;
    for (const struct snippet *s = refuse_cases; s < refuse_end && !found; s++)
      found = strcmp(s->rule, ufv_rule_name(rule)) == 0;
    CHECK(found, "no snippet breaks rule %s", ufv_rule_name(rule));
  }
}

static bool count_reports(void *context, const struct ufv_error *e) {
  unsigned *seen = context;
  seen[e->rule]++;
  return true;
}

/* -a: everything wrong is reported, once, and the pass finds its way after garbage. */
static void test_scan(void) {
  uint8_t code[128], safe[16], scratch[16];
  unsigned seen[UFV_RULE_COUNT] = {0};
  memset(code, 0x90, sizeof code);
  code[0] = 0xc3;                                   /* ret: lost until the next bundle */
  memcpy(code + 32, "\x8b\x00\x49\x89\xc7", 5);     /* mov (%rax),%eax; mov %rax,%r15 */
  memcpy(code + 64, "\xeb\x03\xb8\0\0\0\0\xeb", 8); /* two jumps, */
  code[72] = 0xfa;                                  /* the second into the first's target */
  code[127] = 0xcc;
  struct ufv_text t = {code, sizeof code, 0x200000};
  size_t n = ufv_scan(&t, safe, scratch, count_reports, seen);
  CHECK(n == 5, "%zu reports", n);
  CHECK(seen[UFV_INSTRUCTION] == 1 && seen[UFV_MEMORY] == 1 && seen[UFV_R15] == 1,
        "one report for each bad instruction");
  CHECK(seen[UFV_TARGET] == 2, "%u bad targets", seen[UFV_TARGET]);
}

/* Texts that leave the window. */
static void test_shape(void) {
  static const struct {
    uint32_t vaddr, size;
    bool ok;
  } shapes[] = {{0x200000, 64, true},    {0x200010, 64, false},   {0x10000, 64, true},
                {0xffe0, 64, false},     {0, 64, false},          {0x1fffffc0, 64, true},
                {0x1fffffe0, 64, false}, {0x20000000, 64, false}, {0xffffffe0, 64, false},
                {0x200000, 0, false},    {0x200000, 48, false},   {0x200000, 0xffffffe0, false}};
  uint8_t code[64], safe[8], scratch[8];
  memset(code, 0xcc, sizeof code);
  for (unsigned i = 0; i < sizeof shapes / sizeof *shapes; i++) {
    struct ufv_text t = {code, shapes[i].size, shapes[i].vaddr};
    struct ufv_error e;
    enum ufv_rule r = ufv_check(&t, safe, scratch, &e);
    CHECK(r == (shapes[i].ok ? UFV_OK : UFV_SHAPE), "shape %u: %s", i, ufv_rule_name(r));
  }
}

void test_cases(void) {
  run(refuse_cases, refuse_end);
  run(accept_cases, accept_end);
  test_rules_covered();
  test_scan();
  test_shape();
}
