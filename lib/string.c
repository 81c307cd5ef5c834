/* SPDX-License-Identifier: MIT */
/*
 * Compiled without vector registers, so that the user's vector state survives a system call
 * untouched; large copies use the string instructions, which current CPUs run at full width; of
 * words, because an emulated CPU without that art moves one element at a time.
 */
#include "lib/string.h"
#include "lib/types.h"

/* Below this a simple loop beats the start-up cost of `rep`. */
#define REP_COPY_MIN 256
#define REP_SET_MIN 192

/* Unaligned words, in a way that the compiler does not turn into calls of what is defined here. */
typedef u64 __attribute__((aligned(1), may_alias)) word;
typedef u32 __attribute__((aligned(1), may_alias)) half;

/* Less than 8 bytes; both ends may overlap in the middle. */
static inline void copy_few(char *d, const char *s, size_t n) {
  if (n >= 4) {
    u32 head = *(const half *)s, tail = *(const half *)(s + n - 4);
    *(half *)d = head;
    *(half *)(d + n - 4) = tail;
    return;
  }
  if (n == 0)
    return;
  char first = s[0], mid = s[n / 2], last = s[n - 1];
  d[0] = first;
  d[n / 2] = mid;
  d[n - 1] = last;
}

void *memcpy(void *restrict dst, const void *restrict src, size_t n) {
  char *d = dst;
  const char *s = src;
  if (n >= REP_COPY_MIN) {
    word tail = *(const word *)(s + n - 8);
    size_t words = n / 8;
    __asm__ volatile("rep movsq" : "+D"(d), "+S"(s), "+c"(words) : : "memory");
    *(word *)((char *)dst + n - 8) = tail;
    return dst;
  }
  if (n < 8) {
    copy_few(d, s, n);
    return dst;
  }
  word tail = *(const word *)(s + n - 8);
  size_t at = 0;
  for (; at + 32 <= n; at += 32) {
    *(word *)(d + at) = *(const word *)(s + at);
    *(word *)(d + at + 8) = *(const word *)(s + at + 8);
    *(word *)(d + at + 16) = *(const word *)(s + at + 16);
    *(word *)(d + at + 24) = *(const word *)(s + at + 24);
    __asm__ volatile("" : : : "memory");
  }
  for (; at + 8 <= n; at += 8) {
    *(word *)(d + at) = *(const word *)(s + at);
    __asm__ volatile("" : : : "memory");
  }
  *(word *)(d + n - 8) = tail;
  return dst;
}

static void copy_backwards(char *d, const char *s, size_t n) {
  for (; n >= 8; n -= 8) {
    *(word *)(d + n - 8) = *(const word *)(s + n - 8);
    __asm__ volatile("" : : : "memory");
  }
  copy_few(d, s, n);
}

static void copy_forwards(char *d, const char *s, size_t n) {
  for (; n >= 8; n -= 8, d += 8, s += 8) {
    *(word *)d = *(const word *)s;
    __asm__ volatile("" : : : "memory");
  }
  copy_few(d, s, n);
}

void *memmove(void *dst, const void *src, size_t n) {
  char *d = dst;
  const char *s = src;
  if (d + n <= s || s + n <= d)
    return memcpy(dst, src, n);
  if (d < s)
    copy_forwards(d, s, n);
  else if (d > s)
    copy_backwards(d, s, n);
  return dst;
}

void *memset(void *dst, int c, size_t n) {
  char *d = dst;
  u64 v = (u8)c * 0x0101010101010101UL;
  if (n >= REP_SET_MIN) {
    size_t words = n / 8;
    __asm__ volatile("rep stosq" : "+D"(d), "+c"(words) : "a"(v) : "memory");
    *(word *)((char *)dst + n - 8) = v;
    return dst;
  }
  if (n < 8) {
    for (size_t i = 0; i < n; i++) {
      d[i] = (char)c;
      __asm__ volatile("" : : : "memory");
    }
    return dst;
  }
  size_t at = 0;
  for (; at + 32 <= n; at += 32) {
    *(word *)(d + at) = v;
    *(word *)(d + at + 8) = v;
    *(word *)(d + at + 16) = v;
    *(word *)(d + at + 24) = v;
    __asm__ volatile("" : : : "memory");
  }
  for (; at + 8 <= n; at += 8) {
    *(word *)(d + at) = v;
    __asm__ volatile("" : : : "memory");
  }
  *(word *)(d + n - 8) = v;
  return dst;
}

int memcmp(const void *a, const void *b, size_t n) {
  const unsigned char *x = a, *y = b;
  while (n >= 8 && *(const word *)x == *(const word *)y)
    n -= 8, x += 8, y += 8;
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
