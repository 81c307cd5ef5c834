/* SPDX-License-Identifier: MIT */
/*
 * Compiled without vector registers, so that the user's vector state survives a system call
 * untouched; large copies use the string instructions, which current CPUs run at full width.
 */
#include "lib/string.h"

#define REP_MIN 256 /* below this a simple loop beats the start-up cost of `rep` */

void *memcpy(void *restrict dst, const void *restrict src, size_t n) {
  char *d = dst;
  const char *s = src;
  if (n >= REP_MIN) {
    __asm__ volatile("rep movsb" : "+D"(d), "+S"(s), "+c"(n) : : "memory");
    return dst;
  }
  for (; n >= 8; n -= 8, d += 8, s += 8)
    __builtin_memcpy(d, s, 8);
  while (n--) {
    *d++ = *s++;
    __asm__ volatile("" : "+r"(d)); /* keep the compiler from calling memcpy here */
  }
  return dst;
}

void *memmove(void *dst, const void *src, size_t n) {
  char *d = dst;
  const char *s = src;
  if (d == s || n == 0)
    return dst;
  if (d < s || d >= s + n) {
    if (n >= REP_MIN && (d + n <= s || d >= s + n))
      return memcpy(dst, src, n);
    while (n--) {
      *d++ = *s++;
      __asm__ volatile("" : "+r"(d));
    }
    return dst;
  }
  while (n--) {
    d[n] = s[n];
    __asm__ volatile("" : "+r"(n));
  }
  return dst;
}

void *memset(void *dst, int c, size_t n) {
  char *d = dst;
  if (n >= REP_MIN) {
    __asm__ volatile("rep stosb" : "+D"(d), "+c"(n) : "a"(c) : "memory");
    return dst;
  }
  while (n--) {
    *d++ = (char)c;
    __asm__ volatile("" : "+r"(d));
  }
  return dst;
}

int memcmp(const void *a, const void *b, size_t n) {
  const unsigned char *x = a, *y = b;
  for (; n > 0; n--, x++, y++)
    if (*x != *y)
      return *x - *y;
  return 0;
}

void *memchr(const void *s, int c, size_t n) {
  const unsigned char *p = s;
  for (; n > 0; n--, p++)
    if (*p == (unsigned char)c)
      return (void *)p;
  return NULL;
}

size_t strlen(const char *s) {
  size_t n = 0;
  while (s[n])
    n++;
  return n;
}

size_t strnlen(const char *s, size_t max) {
  size_t n = 0;
  while (n < max && s[n])
    n++;
  return n;
}

int strcmp(const char *a, const char *b) {
  while (*a && *a == *b)
    a++, b++;
  return (unsigned char)*a - (unsigned char)*b;
}

int strncmp(const char *a, const char *b, size_t n) {
  for (; n > 0 && *a && *a == *b; n--)
    a++, b++;
  return n > 0 ? (unsigned char)*a - (unsigned char)*b : 0;
}

char *strchr(const char *s, int c) {
  for (;; s++) {
    if (*s == (char)c)
      return (char *)s;
    if (*s == 0)
      return NULL;
  }
}

char *strrchr(const char *s, int c) {
  const char *last = NULL;
  for (;; s++) {
    if (*s == (char)c)
      last = s;
    if (*s == 0)
      return (char *)last;
  }
}

size_t str_copy(char *dst, const char *src, size_t size) {
  size_t n = strlen(src);
  size_t m = n < size ? n : size - 1;
  memcpy(dst, src, m);
  dst[m] = 0;
  return n;
}
