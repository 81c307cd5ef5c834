/* SPDX-License-Identifier: MIT */
#include "plat/pc/cpulist.h"
#include "lib/string.h"

enum { MADT_HEADER = 44, MADT_LAPIC = 0, MADT_X2APIC = 9 };
enum { MP_POINTER = 16, MP_HEADER = 44, MP_CPU = 0, MP_CPU_SIZE = 20, MP_OTHER_SIZE = 8 };
#define ENABLED 1u
#define ID_MAX 254u

static u16 get16(const u8 *p) { return (u16)(p[0] | p[1] << 8); }
static u32 get32(const u8 *p) { return get16(p) | (u32)get16(p + 2) << 16; }

static bool sums_to_zero(const u8 *p, size_t n) {
  u8 sum = 0;
  for (size_t i = 0; i < n; i++)
    sum = (u8)(sum + p[i]);
  return sum == 0;
}

unsigned madt_cpus(const u8 *madt, u32 *ids, unsigned max, unsigned *refused) {
  u32 length = get32(madt + 4);
  unsigned n = 0;
  *refused = 0;
  for (u32 at = MADT_HEADER; at + 2 <= length && madt[at + 1] >= 2; at += madt[at + 1]) {
    const u8 *e = madt + at;
    u32 id, flags;
    if (at + e[1] > length)
      break;
    if (e[0] == MADT_LAPIC && e[1] >= 8)
      id = e[3], flags = get32(e + 4);
    else if (e[0] == MADT_X2APIC && e[1] >= 16)
      id = get32(e + 4), flags = get32(e + 8);
    else
      continue;
    if (!(flags & ENABLED))
      continue;
    if (id > ID_MAX)
      ++*refused;
    else if (n < max)
      ids[n++] = id;
  }
  return n;
}

/* The configuration table that the pointer at p names; NULL. */
static const u8 *mp_table(const u8 *p, const u8 *(*at)(u64 p)) {
  if (memcmp(p, "_MP_", 4) != 0 || p[8] != 1 || !sums_to_zero(p, MP_POINTER) || get32(p + 4) == 0)
    return NULL;
  const u8 *t = at(get32(p + 4));
  return t && memcmp(t, "PCMP", 4) == 0 && get16(t + 4) >= MP_HEADER &&
                 sums_to_zero(t, get16(t + 4))
             ? t
             : NULL;
}

/* Up to the end: some firmware leaves the number of entries 0. */
static unsigned read_mp_table(const u8 *t, u32 *ids, unsigned max) {
  u32 length = get16(t + 4);
  unsigned n = 0;
  for (u32 at = MP_HEADER, size; at < length; at += size) {
    const u8 *e = t + at;
    size = e[0] == MP_CPU ? MP_CPU_SIZE : MP_OTHER_SIZE;
    if (at + size > length)
      break;
    if (e[0] == MP_CPU && e[3] & ENABLED && e[1] <= ID_MAX && n < max)
      ids[n++] = e[1];
  }
  return n;
}

unsigned mptable_cpus(const u8 *area, size_t len, const u8 *(*at)(u64 p), u32 *ids, unsigned max) {
  for (size_t i = 0; i + MP_POINTER <= len; i += MP_POINTER) {
    const u8 *t = mp_table(area + i, at);
    if (t)
      return read_mp_table(t, ids, max);
  }
  return 0;
}
