/* SPDX-License-Identifier: MIT */
/*
 * libFuzzer harness. Any bytes are a text: the checker neither crashes nor reads beyond it, what it
 * accepts the reference checker accepts too, and every offset of accepted text either
 * canonicalizes to a safe point or is no instruction. Start it with the seeds of `verifier-test
 * --seeds DIR`.
 */
#include "../elf.h"
#include "../verifier.h"
#include "reference.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BUNDLE = 32, MAX = 512, VADDR = 0x200000 };

static unsigned long checked, accepted;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

static void report(void) {
  printf("fuzz: %lu texts, %lu of them accepted\n", checked, accepted);
  if (accepted < 100) {
    printf("fuzz: too few accepted to prove anything\n");
    _Exit(1);
  }
}

int LLVMFuzzerInitialize(int *argc, char ***argv) {
  (void)argc;
  (void)argv;
  return atexit(report);
}

static bool count(void *context, const struct ufv_error *e) {
  (void)context;
  return e->length != 0;
}

static void check_points(const struct ufv_text *t, const uint8_t *safe) {
  for (uint32_t at = 0; at < t->size; at++) {
    struct ufv_regs r = {.rip = t->vaddr + at, .base = (uint64_t)1 << 40};
    if (ufv_canonicalize(t, safe, &r) == 0 && !ufv_is_safe_point(t, safe, r.rip - t->vaddr))
      abort();
  }
}

/* A heap copy of just that size, so that reads beyond it are seen. */
static void check(const uint8_t *code, uint32_t size) {
  uint8_t *copy = malloc(size), *safe = malloc(size / 8), *scratch = malloc(size / 8);
  const struct ufv_text t = {copy, size, VADDR};
  struct ufv_error e;
  memcpy(copy, code, size);
  enum ufv_rule r = ufv_check(&t, safe, scratch, &e);
  checked++;
  if (r == UFV_OK) {
    accepted++;
    if (!reference_accepts(copy, size)) {
      printf("the reference refuses: %s at %zu\n", reference_reason, reference_offset);
      abort();
    }
    check_points(&t, safe);
  }
  if ((ufv_scan(&t, safe, scratch, count, NULL) == 0) != (r == UFV_OK))
    abort();
  free(copy);
  free(safe);
  free(scratch);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  uint8_t text[MAX + 2 * BUNDLE];
  struct uf_image_layout layout;
  uf_elf_parse(data, size, &layout);

  size = size < MAX ? size : MAX;
  memset(text, 0xcc, sizeof text);
  memcpy(text, data, size);
  uint32_t bundles = (uint32_t)(size / BUNDLE + 1);
  check(text, bundles * BUNDLE);
  /* And every bundle for itself: one that is refused must not hide the others. */
  for (uint32_t n = 0; bundles > 1 && n < bundles; n++) {
    uint8_t pair[2 * BUNDLE];
    memcpy(pair, text + n * BUNDLE, BUNDLE);
    memset(pair + BUNDLE, 0xcc, BUNDLE);
    check(pair, sizeof pair);
  }
  return 0;
}
