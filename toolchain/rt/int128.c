/* SPDX-License-Identifier: MIT */
/* Division of 128-bit integers, and their conversion from and to floating point. */

typedef unsigned __int128 u128;
typedef __int128 s128;
typedef unsigned long long u64;

u128 __udivmodti4(u128 n, u128 d, u128 *rem);
u128 __udivti3(u128 n, u128 d);
u128 __umodti3(u128 n, u128 d);
s128 __divti3(s128 n, s128 d);
s128 __modti3(s128 n, s128 d);
s128 __divmodti4(s128 n, s128 d, s128 *rem);
s128 __multi3(s128 a, s128 b);

/* hi:lo / d where hi < d, so that the quotient fits. */
static u64 divide(u64 hi, u64 lo, u64 d, u64 *rem) {
  u64 q;
  __asm__("divq %4" : "=a"(q), "=d"(*rem) : "0"(lo), "1"(hi), "r"(d) : "cc");
  return q;
}

u128 __udivmodti4(u128 n, u128 d, u128 *rem) {
  u64 dhi = (u64)(d >> 64), dlo = (u64)d, nhi = (u64)(n >> 64), r;
  if (!dhi) {
    u64 qhi = nhi / dlo; /* a zero divisor traps as it should */
    u64 qlo = divide(nhi - qhi * dlo, (u64)n, dlo, &r);
    if (rem)
      *rem = r;
    return (u128)qhi << 64 | qlo;
  }
  if (d > n) {
    if (rem)
      *rem = n;
    return 0;
  }
  /* Knuth's estimate with a normalized divisor: at most one too large. */
  int shift = __builtin_clzll(dhi);
  u64 top = (u64)(d << shift >> 64);
  u128 half = n >> 1;
  u64 q = divide((u64)(half >> 64), (u64)half, top, &r) >> (63 - shift);
  if (q)
    q--;
  u128 left = n - q * d;
  if (left >= d) {
    left -= d;
    q++;
  }
  if (rem)
    *rem = left;
  return q;
}

u128 __udivti3(u128 n, u128 d) { return __udivmodti4(n, d, 0); }

u128 __umodti3(u128 n, u128 d) {
  u128 rem;
  __udivmodti4(n, d, &rem);
  return rem;
}

static u128 magnitude(s128 x) { return x < 0 ? -(u128)x : (u128)x; }

s128 __divmodti4(s128 n, s128 d, s128 *rem) {
  u128 r, q = __udivmodti4(magnitude(n), magnitude(d), &r);
  *rem = (s128)(n < 0 ? -r : r);
  return (s128)((n < 0) != (d < 0) ? -q : q);
}

s128 __divti3(s128 n, s128 d) {
  s128 rem;
  return __divmodti4(n, d, &rem);
}

s128 __modti3(s128 n, s128 d) {
  s128 rem;
  __divmodti4(n, d, &rem);
  return rem;
}

s128 __multi3(s128 a, s128 b) {
  u64 alo = (u64)a, blo = (u64)b;
  u128 low = (u128)alo * blo;
  u64 cross = (u64)((u128)a >> 64) * blo + alo * (u64)((u128)b >> 64);
  return (s128)(low + ((u128)cross << 64));
}
