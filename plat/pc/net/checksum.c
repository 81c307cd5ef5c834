/* SPDX-License-Identifier: MIT */
/*
 * The Internet checksum, eight bytes at a time. The sum of 32-bit halves needs no carries in 64
 * bits for any length that occurs, and folding it to 16 bits gives the same as a sum of 16-bit
 * words.
 */
#include "arch/cc.h"

static u64 load(const u8 *p, unsigned n) {
  u64 v = 0;
  __builtin_memcpy(&v, p, n);
  return v;
}

static u64 halves(u64 v) { return (u32)v + (v >> 32); }

/* Sum in memory order, not inverted. */
u16 net_checksum(const void *data, int len) {
  const u8 *p = data;
  u64 a = 0, b = 0;
  size_t n = len > 0 ? (size_t)len : 0;
  for (; n >= 32; n -= 32, p += 32) {
    a += halves(load(p, 8)) + halves(load(p + 8, 8));
    b += halves(load(p + 16, 8)) + halves(load(p + 24, 8));
  }
  for (; n >= 8; n -= 8, p += 8)
    a += halves(load(p, 8));
  if (n & 4) {
    a += load(p, 4);
    p += 4;
  }
  if (n & 2) {
    a += load(p, 2);
    p += 2;
  }
  if (n & 1)
    a += *p;
  a += b;
  a = (a & 0xffffffff) + (a >> 32);
  a = (a & 0xffffffff) + (a >> 32);
  a = (a & 0xffff) + (a >> 16);
  a = (a & 0xffff) + (a >> 16);
  return (u16)a;
}
