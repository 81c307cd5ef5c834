/* SPDX-License-Identifier: MIT */
/*
 * 128-bit integers from and to floating point. The x87 format holds 64 bits of mantissa, so a
 * value is rounded once: from its top 64 bits with the rest folded into the lowest ("sticky").
 */

typedef unsigned __int128 u128;
typedef __int128 s128;
typedef unsigned long long u64;

/* The value as mantissa * 2^exponent with at most BITS bits of mantissa plus guard and sticky. */
static u64 narrow(u128 x, int bits, int *exponent) {
  u64 hi = (u64)(x >> 64);
  int len = hi ? 128 - __builtin_clzll(hi) : (u64)x ? 64 - __builtin_clzll((u64)x) : 0;
  *exponent = len > bits ? len - bits : 0;
  u128 lost = x & (((u128)1 << *exponent) - 1);
  return (u64)(x >> *exponent) | (lost != 0);
}

static long double scale(long double x, int exponent) {
  long double two = 4294967296.0L;
  for (; exponent >= 32; exponent -= 32)
    x *= two;
  return x * (long double)(1ull << exponent);
}

#define FROM_INTEGER(NAME, SIGNED_NAME, TYPE, BITS)                                                \
  TYPE NAME(u128 x) {                                                                              \
    int exponent;                                                                                  \
    u64 mantissa = narrow(x, BITS, &exponent);                                                     \
    return (TYPE)scale((long double)mantissa, exponent);                                           \
  }                                                                                                \
  TYPE SIGNED_NAME(s128 x) { return x < 0 ? -NAME(-(u128)x) : NAME((u128)x); }

FROM_INTEGER(__floatuntisf, __floattisf, float, 62)
FROM_INTEGER(__floatuntidf, __floattidf, double, 62)

/* All 64 bits count here; the low part is added, which rounds once. */
long double __floatuntixf(u128 x) {
  return scale((long double)(u64)(x >> 64), 64) + (long double)(u64)x;
}

long double __floattixf(s128 x) {
  return x < 0 ? -__floatuntixf(-(u128)x) : __floatuntixf((u128)x);
}

/* Out of range is undefined in C; it saturates here. */
u128 __fixunsxfti(long double x) {
  const long double two64 = 18446744073709551616.0L;
  if (!(x >= 1))
    return 0;
  if (x >= two64 * two64)
    return ~(u128)0;
  u64 hi = (u64)(x / two64);
  return (u128)hi << 64 | (u64)(x - scale((long double)hi, 64));
}

s128 __fixxfti(long double x) { return x < 0 ? -(s128)__fixunsxfti(-x) : (s128)__fixunsxfti(x); }

u128 __fixunsdfti(double x) { return __fixunsxfti(x); }
u128 __fixunssfti(float x) { return __fixunsxfti(x); }
s128 __fixdfti(double x) { return __fixxfti(x); }
s128 __fixsfti(float x) { return __fixxfti(x); }
