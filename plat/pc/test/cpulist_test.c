/* SPDX-License-Identifier: MIT */
/* The firmware's tables of CPUs, well-formed and broken; how far apart two counters are. */
#include "kernel/test/fake/check_once.h"
#include "plat/pc/cpulist.h"
#include "plat/pc/skew.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static u8 buf[1024];
static unsigned len;

static void put(unsigned n, const u8 *bytes) {
  memcpy(buf + len, bytes, n);
  len += n;
}
#define PUT(...) put(sizeof((u8[]){__VA_ARGS__}), (u8[]){__VA_ARGS__})

static void set16(unsigned at, unsigned v) { buf[at] = (u8)v, buf[at + 1] = (u8)(v >> 8); }

static void make_sum_zero(unsigned from, unsigned n, unsigned at) {
  u8 sum = 0;
  buf[at] = 0;
  for (unsigned i = 0; i < n; i++)
    sum = (u8)(sum + buf[from + i]);
  buf[at] = (u8)-sum;
}

/* ---- MADT ------------------------------------------------------------------------------------ */

static u8 *madt(void) {
  set16(4, len);
  u8 *exact = malloc(len); /* the sanitizer sees who reads beyond */
  return memcpy(exact, buf, len);
}

static void test_madt(void) {
  u32 ids[8];
  unsigned refused;
  memset(buf, 0, sizeof buf);
  len = 44;
  PUT(0, 8, 0, 0, 1, 0, 0, 0);
  PUT(1, 12, 0, 0, 0, 0, 0xc0, 0xfe, 0, 0, 0, 0);       /* an I/O APIC */
  PUT(0, 8, 1, 4, 1, 0, 0, 0);                          /* ids need not be dense */
  PUT(0, 8, 2, 5, 0, 0, 0, 0);                          /* not enabled */
  PUT(0, 8, 3, 255, 1, 0, 0, 0);                        /* the broadcast address */
  PUT(9, 16, 0, 0, 7, 0, 0, 0, 1, 0, 0, 0, 4, 0, 0, 0); /* x2APIC, within reach */
  PUT(9, 16, 0, 0, 0, 1, 0, 0, 1, 0, 0, 0, 5, 0, 0, 0); /* id 256 is not */
  u8 *t = madt();
  CHECK(madt_cpus(t, ids, 8, &refused) == 3 && ids[0] == 0 && ids[1] == 4 && ids[2] == 7);
  CHECK(refused == 2);
  CHECK(madt_cpus(t, ids, 2, &refused) == 2 && madt_cpus(t, ids, 0, &refused) == 0);
  free(t);
  PUT(0, 8, 4, 9, 1, 0); /* cut off */
  t = madt();
  CHECK(madt_cpus(t, ids, 8, &refused) == 3);
  free(t);
  len = 44;
  PUT(0, 0, 1, 1, 1, 0, 0, 0); /* an entry without length must not be read for ever */
  t = madt();
  CHECK(madt_cpus(t, ids, 8, &refused) == 0 && refused == 0);
  free(t);
}

/* ---- MP table: the pointer at 32, the table at 64 -------------------------------------------- */

static u8 *memory;
static unsigned memory_size;
static const u8 *at(u64 p) { return p < memory_size ? memory + p : NULL; }

static void mp_begin(void) {
  memset(buf, 0, sizeof buf);
  memcpy(buf + 32, "_MP_", 4);
  buf[36] = 64, buf[40] = 1, buf[41] = 4;
  make_sum_zero(32, 16, 42);
  memcpy(buf + 64, "PCMP", 4);
  len = 64 + 44;
}

static unsigned mp_read(u32 *ids) {
  set16(64 + 4, len - 64);
  make_sum_zero(64, len - 64, 64 + 7);
  memory = malloc(memory_size = len);
  memcpy(memory, buf, len);
  unsigned n = mptable_cpus(memory, 64, at, ids, 8);
  free(memory);
  return n;
}

static void mp_entries(void) {
  PUT(0, 0, 0x14, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
  PUT(0, 2, 0x14, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
  PUT(0, 3, 0x14, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0); /* not enabled */
  PUT(1, 0, 'I', 'S', 'A', ' ', ' ', ' ');
  PUT(0, 9, 0x14, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
}

static void test_mptable(void) {
  u32 ids[8];
  mp_begin();
  mp_entries();
  CHECK(mp_read(ids) == 3 && ids[0] == 0 && ids[1] == 2 && ids[2] == 9);
  len -= 5;
  CHECK(mp_read(ids) == 2); /* the last one cut off */
  mp_begin();
  buf[64] = 'Q';
  CHECK(mp_read(ids) == 0);
  mp_begin();
  buf[39] = 0x70, make_sum_zero(32, 16, 42); /* points nowhere */
  CHECK(mp_read(ids) == 0);
  mp_begin();
  mp_entries();
  buf[42]++; /* a wrong sum */
  CHECK(mp_read(ids) == 0);
}

/* ---- counters -------------------------------------------------------------------------------- */

static void test_skew(void) {
  struct skew s = SKEW_UNKNOWN;
  CHECK(!skew_known(&s, 1000));
  skew_add(&s, 1000, 1400, 2000); /* -600 .. 400 */
  CHECK(!skew_known(&s, 900) && skew_known(&s, 1000) && skew_ticks(&s) == 0);
  s = SKEW_UNKNOWN;
  skew_add(&s, 1000, 900000, 1100); /* 898900 .. 899000 */
  skew_add(&s, 2000, 900990, 2080); /* 898910 .. 898990 */
  CHECK(skew_known(&s, 100) && skew_ticks(&s) == 898950);
  s = SKEW_UNKNOWN;
  skew_add(&s, 900000, 1000, 900100); /* behind */
  CHECK(skew_ticks(&s) == -899050);
  s = SKEW_UNKNOWN;
  skew_add(&s, UINT64_MAX - 10, 5, 10); /* across the end of the numbers */
  CHECK(skew_ticks(&s) == 0);
  skew_add(&s, 100, 160, 130); /* 30 .. 60: it has drifted */
  CHECK(skew_ticks(&s) > 0 && skew_ticks(&s) <= 60);
}

int main(void) {
  test_madt();
  test_mptable();
  test_skew();
  printf("cpulist_test: 3 passed, 0 failed\n");
  return 0;
}
