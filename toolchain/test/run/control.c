/* SPDX-License-Identifier: MIT */
/* Switches, computed goto, function pointers, setjmp, varargs, recursion, alloca, large frames. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int dense(int x) {
  switch (x) {
  case 0:
    return 11;
  case 1:
    return printf("one\n");
  case 2:
    return x * 7 + 1;
  case 3:
    puts("three"); /* fall through */
  case 4:
    return 44;
  case 5:
    return -x;
  case 6:
    return 66;
  default:
    return 99;
  }
}

static int threaded(const unsigned char *code) {
  static const void *const ops[] = {&&inc, &&dbl, &&neg, &&end};
  int acc = 1;
  goto *ops[*code++];
inc:
  acc++;
  goto *ops[*code++];
dbl:
  acc *= 2;
  goto *ops[*code++];
neg:
  acc = -acc;
  goto *ops[*code++];
end:
  return acc;
}

static int add(int a, int b) { return a + b; }
static int mul(int a, int b) { return a * b; }
static int (*volatile table[])(int, int) = {add, mul, add};

static int by_value(const void *a, const void *b) { return *(const int *)a - *(const int *)b; }

static long sum(int n, ...) {
  va_list ap;
  long s = 0;
  va_start(ap, n);
  for (int i = 0; i < n; i++)
    s += va_arg(ap, long);
  va_end(ap);
  return s;
}

static double fsum(int n, ...) {
  va_list ap;
  double s = 0;
  va_start(ap, n);
  for (int i = 0; i < n; i++)
    s += va_arg(ap, double);
  va_end(ap);
  return s;
}

static jmp_buf env;
static void __attribute__((noinline)) deep(int n) {
  volatile char pad[100];
  pad[0] = (char)n;
  if (n == 0)
    longjmp(env, 42);
  deep(n - 1);
  pad[1] = pad[0];
}

static unsigned long __attribute__((noinline)) dynamic(int n) {
  unsigned long h = 5;
  for (int i = 1; i < n; i++) {
    char *p = __builtin_alloca((size_t)i * 3);
    char vla[i];
    memset(p, i, (size_t)i * 3);
    memset(vla, i + 1, (size_t)i);
    h = h * 31 + (unsigned char)p[i] + (unsigned char)vla[i - 1];
  }
  return h;
}

static int __attribute__((noinline)) big_frame(int n) {
  char big[300000];
  memset(big, n, sizeof big);
  return n ? big[n * 1000] + big_frame(n - 1) : 0;
}

struct wide {
  long a[20];
};
static struct wide __attribute__((noinline)) by_copy(struct wide w, int k) {
  w.a[k] += k;
  return w;
}

static int __attribute__((noinline)) aligned(int n) {
  _Alignas(64) volatile char buf[128];
  buf[n] = 7;
  return ((unsigned long)buf & 63) == 0 ? buf[n] : -1;
}

int main(void) {
  for (int i = -1; i < 8; i++)
    printf("%d ", dense(i));
  printf("%d\n", threaded((const unsigned char *)"\0\1\2\0\1\3"));
  for (int i = 0; i < 3; i++)
    printf("%d ", table[i](i + 3, 5));
  int v[1000];
  for (int i = 0; i < 1000; i++)
    v[i] = i * 7919 % 1009;
  qsort(v, 1000, sizeof *v, by_value);
  printf("%d %d %d\n", v[0], v[500], v[999]);
  printf("%ld %g\n", sum(9, 1L, 2L, 3L, 4L, 5L, 6L, 7L, 8L, 9L), fsum(3, 1.5, 2.5, 3.25));
  int r = setjmp(env);
  if (r == 0)
    deep(50);
  printf("%d %lu %d\n", r, dynamic(60), big_frame(5));
  struct wide w = {{1, 2, 3}};
  w = by_copy(by_copy(w, 4), 19);
  printf("%ld %ld %d\n", w.a[4], w.a[19], aligned(5));
  extern int missing(void) __attribute__((weak));
  printf("%d\n", missing ? missing() : -1);
  return 3;
}
