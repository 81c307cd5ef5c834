/* SPDX-License-Identifier: MIT */
/*
 * Walks through the encodings, opcode by opcode. Whatever the verifier accepts must be accepted by
 * the reference checker too, with the same length, and a sample of it must behave on this
 * processor.
 */
#include "../decode.h"
#include "reference.h"
#include "silicon.h"
#include "test.h"
#include <Zydis/Zydis.h>
#include <stdlib.h>
#include <string.h>

unsigned passed, failed;

enum { TEXT = 32, SHOWN = 10, SAMPLE = 60000 };

static ZydisDecoder zydis;
static uint64_t seed = 0x9e3779b97f4a7c15u;
static unsigned long tried, accepted, disagreed;
static unsigned long per_map[UFD_MAPS];

/* Accepted instructions to run, chosen at random with equal chance (reservoir sampling). */
static struct {
  uint8_t bytes[15];
  uint8_t length;
} sample[SAMPLE];
static unsigned long sampled;

static uint32_t rnd(void) {
  seed ^= seed << 13;
  seed ^= seed >> 7;
  seed ^= seed << 17;
  return (uint32_t)(seed >> 16);
}

static void print_bytes(const uint8_t *p, size_t n) {
  for (size_t i = 0; i < n; i++)
    printf(" %02x", p[i]);
  putchar('\n');
}

static bool can_run(const ZydisDecodedInstruction *i) {
  return i->meta.branch_type == ZYDIS_BRANCH_TYPE_NONE && i->mnemonic != ZYDIS_MNEMONIC_INT3 &&
         i->mnemonic != ZYDIS_MNEMONIC_UD2 && i->mnemonic != ZYDIS_MNEMONIC_CPUID;
}

/* add, sub, and, lea on %rsp: legal, moves it far. */
static bool adjusts_stack(const struct ufd_insn *i) {
  bool to_reg = (i->flags & UFD_WREG) && i->reg == UFD_RSP && i->wide;
  bool to_rm = (i->flags & UFD_WRM) && !i->is_memory && i->rm == UFD_RSP && i->wide;
  return i->map == UFD_M0 && (to_reg || to_rm);
}

static void keep(const uint8_t *code, const struct ufd_insn *i) {
  unsigned long slot = sampled < SAMPLE ? sampled : rnd() % (sampled + 1);
  sampled++;
  if (slot < SAMPLE) {
    memcpy(sample[slot].bytes, code, i->len);
    sample[slot].length = i->len;
  }
}

/* Fills a text after its first n bytes: a push, which ends what an adjustment of the stack pointer
   leaves pending, and nops as long as the reference checker is slow. */
static void fill(uint8_t *code, size_t n) {
  static const uint8_t nop[8] = {0x0f, 0x1f, 0x84};
  code[n++] = 0x50;
  for (; n + sizeof nop < TEXT; n += sizeof nop)
    memcpy(code + n, nop, sizeof nop);
  memset(code + n, 0xcc, TEXT - n);
}

/* One candidate: `n` bytes whose first instruction becomes the first of a text. */
static void try(const uint8_t *bytes, size_t n) {
  uint8_t code[TEXT], safe[TEXT / 8], scratch[TEXT / 8];
  const struct ufv_text t = {code, TEXT, 0x200000};
  ZydisDecodedInstruction z;
  ZydisDecoderContext context;
  struct ufv_error e;
  struct ufd_insn i;

  tried++;
  if (ufd_decode(bytes, n, &i))
    return;
  memcpy(code, bytes, i.len);
  fill(code, i.len);
  if (ufv_check(&t, safe, scratch, &e))
    return;
  accepted++;
  per_map[i.map]++;
  bool ok = ZYAN_SUCCESS(ZydisDecoderDecodeInstruction(&zydis, &context, code, TEXT, &z)) &&
            z.length == i.len && reference_accepts(code, TEXT);
  if (!ok) {
    if (disagreed++ < SHOWN) {
      printf("accepted, but not by the reference (%s):", reference_reason);
      print_bytes(code, i.len);
    }
  } else if (can_run(&z) && !adjusts_stack(&i)) {
    keep(code, &i);
  }
}

/* ModRM bytes with the interesting cases of every addressing mode, and SIB bytes for them. */
static const uint8_t rm_bits[] = {0, 4, 5, 7};
static const uint8_t sibs[] = {0x24, 0x25, 0x65, 0x04, 0x23};

/* Fills in what follows the opcode and tries it. */
static void tails(uint8_t *b, size_t n, unsigned reg) {
  for (unsigned mod = 0; mod < 4; mod++)
    for (unsigned r = 0; r < sizeof rm_bits; r++) {
      b[n] = (uint8_t)(mod << 6 | reg << 3 | rm_bits[r]);
      for (size_t k = n + 1; k < n + 14; k++)
        b[k] = (uint8_t)rnd();
      if (mod == 3 || rm_bits[r] != 4) {
        /* short displacements as often as wild ones: 0, 8 and 16 are special at %r15 */
        b[n + 1] = rnd() % 2 ? (uint8_t)(8 * (rnd() % 4)) : b[n + 1];
        try(b, n + 14);
        continue;
      }
      for (unsigned s = 0; s < sizeof sibs; s++) {
        b[n + 1] = sibs[s];
        try(b, n + 14);
      }
    }
}

static void opcodes(uint8_t *b, size_t n) {
  for (unsigned op = 0; op < 256; op++)
    for (unsigned reg = 0; reg < 8; reg++) {
      b[n] = (uint8_t)op;
      tails(b, n + 1, reg);
    }
}

static const struct {
  uint8_t length, bytes[3];
} prefixes[] = {{0, {0}},
                {1, {0x66}},
                {1, {0x67}},
                {1, {0x65}},
                {2, {0x65, 0x67}},
                {1, {0xf2}},
                {1, {0xf3}},
                {1, {0xf0}},
                {2, {0x66, 0xf2}},
                {2, {0x66, 0xf3}},
                {3, {0x65, 0x67, 0x66}},
                {3, {0x65, 0x67, 0xf3}},
                {3, {0x65, 0x67, 0xf2}},
                {3, {0x65, 0x67, 0xf0}}};
static const uint8_t rexes[] = {0, 0x40, 0x41, 0x42, 0x44, 0x48, 0x4f};
static const struct {
  uint8_t length, bytes[2];
} maps[] = {{0, {0}}, {1, {0x0f}}, {2, {0x0f, 0x38}}, {2, {0x0f, 0x3a}}};

static void sweep_legacy(void) {
  uint8_t b[32];
  for (size_t p = 0; p < sizeof prefixes / sizeof *prefixes; p++)
    for (size_t r = 0; r < sizeof rexes; r++)
      for (size_t m = 0; m < sizeof maps / sizeof *maps; m++) {
        size_t n = prefixes[p].length;
        memcpy(b, prefixes[p].bytes, n);
        if (rexes[r])
          b[n++] = rexes[r];
        memcpy(b + n, maps[m].bytes, maps[m].length);
        opcodes(b, n + maps[m].length);
      }
}

/* c4 with every map, pp, L and W; register extensions at random. */
static void sweep_vex(void) {
  uint8_t b[32] = {0x65, 0x67, 0xc4};
  for (unsigned map = 1; map <= 3; map++)
    for (unsigned low = 0; low < 8; low++)
      for (unsigned w = 0; w < 2; w++)
        for (unsigned v = 0; v < 3; v++)
          for (unsigned sandboxed = 0; sandboxed < 2; sandboxed++) {
            uint8_t vvvv = v == 0 ? 15 : v == 1 ? 0 : (uint8_t)(rnd() & 15);
            b[3] = (uint8_t)((rnd() & 7) << 5 | map);
            b[4] = (uint8_t)(w << 7 | vvvv << 3 | low);
            opcodes(b + (sandboxed ? 0 : 2), sandboxed ? 5 : 3);
          }
}

static void sweep_random(void) {
  static const uint8_t likely[] = {0x66, 0x67, 0x65, 0xf0, 0xf2, 0xf3, 0x48, 0x41, 0x44,
                                   0x49, 0x4d, 0x0f, 0x0f, 0xc5, 0xc4, 0x2e, 0x62, 0x8f};
  for (int k = 0; k < 3000000; k++) {
    uint8_t b[32];
    for (unsigned n = 0; n < sizeof b; n++)
      b[n] = (uint8_t)rnd();
    for (unsigned n = 0, many = rnd() % 5; n < many; n++)
      b[n] = likely[rnd() % sizeof likely];
    try(b, sizeof b);
  }
}

/* ---- on the processor -------------------------------------------------------------------- */

/* The judge must notice what it is there for. */
static void test_judge(void) {
  static const struct {
    const char *name;
    uint8_t length, bytes[6];
    enum silicon_result want;
  } known[] = {
      {"nop", 1, {0x90}, SILICON_OK},
      {"mov %gs:(%eax),%eax", 4, {0x65, 0x67, 0x8b, 0x00}, SILICON_OK},
      {"push %rax", 1, {0x50}, SILICON_OK},
      {"mov 16(%r15),%rax", 4, {0x49, 0x8b, 0x47, 0x10}, SILICON_OK},
      {"mov (%rax),%eax", 2, {0x8b, 0x00}, SILICON_ADDRESS},
      {"mov %gs:(%rax),%eax", 3, {0x65, 0x8b, 0x00}, SILICON_ADDRESS},
      {"stosb", 1, {0xaa}, SILICON_ADDRESS},
      {"mov %eax,%r15d", 3, {0x41, 0x89, 0xc7}, SILICON_R15},
      {"mov %rax,%rsp", 3, {0x48, 0x89, 0xc4}, SILICON_RSP},
      {"std", 1, {0xfd}, SILICON_FLAGS},
      {"ud2", 2, {0x0f, 0x0b}, SILICON_ILLEGAL},
      {"nop; nop", 1, {0x90, 0x90}, SILICON_OK},
      {"mov $imm,%eax as 3 bytes", 3, {0xb8, 1, 2}, SILICON_LENGTH},
  };
  for (size_t k = 0; k < sizeof known / sizeof *known; k++) {
    enum silicon_result got = silicon_run(known[k].bytes, known[k].length, k);
    CHECK(got == known[k].want, "%s: the processor says it %s", known[k].name, silicon_name(got));
  }
}

static void test_silicon(void) {
  unsigned long results[SILICON_RESULTS] = {0}, shown = 0;
  unsigned long n = sampled < SAMPLE ? sampled : SAMPLE;
  if (!silicon_open()) {
    CHECK(false, "cannot map 8 GiB of address space");
    return;
  }
  test_judge();
  for (unsigned long k = 0; k < n; k++) {
    enum silicon_result r = silicon_run(sample[k].bytes, sample[k].length, k);
    results[r]++;
    if (r >= SILICON_LENGTH && shown++ < SHOWN) {
      printf("accepted, but it %s:", silicon_name(r));
      print_bytes(sample[k].bytes, sample[k].length);
    }
  }
  silicon_close();
  unsigned long bad = 0;
  for (int r = SILICON_LENGTH; r < SILICON_RESULTS; r++)
    bad += results[r];
  printf("on the processor: %lu of %lu ran, %lu faulted inside, %lu unknown, %lu bad\n",
         results[SILICON_OK], n, results[SILICON_FAULTED], results[SILICON_ILLEGAL], bad);
  CHECK(bad == 0, "%lu accepted instructions misbehave", bad);
  CHECK(results[SILICON_OK] > n / 3, "too few ran to prove anything");
}

int main(void) {
  ZydisDecoderInit(&zydis, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
  sweep_legacy();
  sweep_vex();
  sweep_random();
  printf("encodings: %lu tried, %lu accepted, %lu disputed by the reference\n", tried, accepted,
         disagreed);
  CHECK(disagreed == 0, "%lu accepted encodings are refused by the reference checker", disagreed);
  for (int m = 0; m < UFD_MAPS; m++)
    CHECK(per_map[m] > 1000, "only %lu instructions of map %d accepted", per_map[m], m);
  test_silicon();
  printf("verifier-sweep: %u passed, %u failed\n", passed, failed);
  return failed != 0;
}
