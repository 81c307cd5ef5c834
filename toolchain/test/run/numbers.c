/* SPDX-License-Identifier: MIT */
/* Arithmetic: what libgcc provides, x87, vectors, complex numbers; and thread-local storage. */
#include <complex.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

typedef __int128 s128;
typedef unsigned __int128 u128;

static _Thread_local int zeroed, counter = 7;
static _Thread_local char name[16] = "local";
_Thread_local long shared[4] = {1, 2, 3, 4};

static void show(const char *what, s128 v) {
  printf("%s %016llx%016llx\n", what, (unsigned long long)((u128)v >> 64), (unsigned long long)v);
}

static void wide(void) {
  volatile u128 a = ((u128)0x123456789abcdef0 << 64) | 0xfedcba9876543210, b = 0x1234567;
  volatile s128 c = -(s128)a, d = ((s128)3 << 70) + 12345;
  show("udiv", (s128)(a / b));
  show("umod", (s128)(a % b));
  show("udiv wide", (s128)(a / (u128)d));
  show("umod wide", (s128)(a % (u128)d));
  show("div", c / d);
  show("mod", c % d);
  show("mul", c * d);
  for (int i = 0; i < 128; i += 9)
    for (int k = 0; k < 128; k += 23) {
      volatile u128 n = (a << i | a >> (128 - i) % 128) ^ i, m = (((u128)1 << k) - 1) | 1;
      u128 q = n / m, r = n % m;
      if (q * m + r != n || r >= m)
        printf("wrong at %d %d\n", i, k);
    }
  volatile double f = 1.2345e30;
  volatile long double x = 9.87654321e35L;
  show("from double", (s128)f);
  show("from long double", (s128)x);
  printf("%.17g %.9g %.20Lg\n", (double)a, (double)(float)c, (long double)a);
  printf("%.17g %.17g\n", (double)(((u128)1 << 100) + ((u128)1 << 47)),
         (double)(((u128)1 << 100) + ((u128)1 << 47) + 1));
}

static void complexes(void) {
  volatile double complex a = 1.5 + 2 * I, b = -0.25 + 8 * I;
  volatile float complex f = 3 - 4 * I;
  double complex p = a * b, q = a / b, e = cexp(a);
  float complex g = f * f / (2 + I);
  volatile double complex inf = INFINITY + NAN * I;
  double complex r = inf * a;
  printf("%g %g %g %g %.12g %.12g\n", creal(p), cimag(p), creal(q), cimag(q), creal(e), cimag(e));
  printf("%g %g %d\n", crealf(g), cimagf(g), isinf(creal(r)) || isinf(cimag(r)));
}

static void floats(void) {
  volatile long double x = 2;
  volatile double y = 0.1;
  printf("%.20Lg %.20Lg %.17g\n", sqrtl(x), powl(x, 0.5L), sin(y) + exp(y) * pow(y, 3));
  printf("%.17g %ld %.17g\n", __builtin_powi(y, -7), lrint(2.5 + y), fma(y, y, y));
  float v[37], s = 0;
  for (int i = 0; i < 37; i++)
    v[i] = (float)i * 0.5f;
  for (int k = 0; k < 10; k++)
    for (int i = 0; i < 37; i++)
      s += v[i] * (float)(k + 1);
  printf("%g\n", s);
}

static void locals(void) {
  int *p = &counter;
  zeroed += 3;
  *p += zeroed;
  strcat(name, "!");
  for (int i = 0; i < 4; i++)
    shared[i] *= shared[(i + 1) % 4] + counter;
  printf("%d %d %s %ld %ld %ld %ld\n", zeroed, counter, name, shared[0], shared[1], shared[2],
         shared[3]);
}

int main(void) {
  wide();
  complexes();
  floats();
  locals();
  locals();
  return 0;
}
