/* SPDX-License-Identifier: MIT */
/* The generator: ChaCha20 itself, and what its states have to do with each other. */
#include "kernel/plat.h"
#include "kernel/test/fake/check.h"
#include <string.h>

/* The fake platform has one already. */
#define plat_random pc_random
void pc_random(void *buf, size_t n);
#include "plat/pc/random.c"

/* The block of RFC 8439, 2.3.2; our counter and nonce lie in the same four words. */
static void block_is_chacha20(void) {
  static const u32 want[16] = {0xe4e7f110, 0x15593bd1, 0x1fdd0f50, 0xc47120a3,
                               0xc7f4d1c7, 0x0368c033, 0x9aaa2204, 0x4e6cd4c3,
                               0x466482d2, 0x09aa9f07, 0x05d7c214, 0xa2028bd9,
                               0xd19c12b5, 0xb94e16de, 0xe883d0cb, 0x4e3c50a2};
  u32 k[8], out[16];
  for (u32 i = 0; i < 8; i++)
    k[i] = (4 * i) | (4 * i + 1) << 8 | (4 * i + 2) << 16 | (4 * i + 3) << 24;
  block(k, 1 | 0x09000000ul << 32, 0x4a000000, out);
  CHECK(memcmp(out, want, sizeof want) == 0);
}

static void output_never_repeats(void) {
  u8 a[200], b[200], zero[200] = {0};
  plat_random(a, sizeof a);
  plat_random(b, sizeof b);
  CHECK(memcmp(a, b, sizeof a) != 0 && memcmp(a, zero, sizeof a) != 0);
  CHECK(memcmp(a, a + 64, 64) != 0);
}

static void same_state_same_output_added_entropy_other(void) {
  u32 k[8], a[4], b[4], c[4];
  u64 n = nonce;
  memcpy(k, key, sizeof k);
  plat_random(a, sizeof a);
  CHECK(memcmp(k, key, sizeof k) != 0); /* the old key is gone */
  memcpy(key, k, sizeof k);
  nonce = n;
  plat_random(b, sizeof b);
  memcpy(key, k, sizeof k);
  nonce = n;
  random_add("x", 1);
  plat_random(c, sizeof c);
  CHECK(memcmp(a, b, sizeof a) == 0 && memcmp(a, c, sizeof a) != 0);
}

static void bits_are_balanced(void) {
  u8 buf[65536];
  u64 ones = 0;
  plat_random(buf, sizeof buf);
  for (size_t i = 0; i < sizeof buf; i++)
    ones += (u64)__builtin_popcount(buf[i]);
  u64 half = sizeof buf * 4; /* five standard deviations are 1810 */
  CHECK(ones > half - 1810 && ones < half + 1810);
}

static void asks_for_more_after_much(void) {
  static u8 buf[MIB(1)];
  random_wants_more();
  CHECK(!random_wants_more());
  plat_random(buf, sizeof buf);
  CHECK(random_wants_more() && !random_wants_more());
}

int main(void) {
  random_init();
  random_add("unpredictable", 13); /* this machine may have no RDRAND */
  TEST(block_is_chacha20);
  TEST(output_never_repeats);
  TEST(same_state_same_output_added_entropy_other);
  TEST(bits_are_balanced);
  TEST(asks_for_more_after_much);
  return check_summary("random_test");
}
