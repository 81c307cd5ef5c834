/* SPDX-License-Identifier: MIT */
#include "kernel/fs/text.h"
#include "kernel/mm/kmalloc.h"
#include "lib/fmt.h"
#include "lib/string.h"

static bool reserve(struct text *t, size_t n) {
  size_t cap = t->cap ? t->cap : 512;
  char *buf;
  if (t->failed)
    return false;
  if (t->len + n <= t->cap)
    return true;
  while (cap < t->len + n)
    cap *= 2;
  buf = krealloc(t->buf, cap);
  if (!buf) {
    t->failed = true;
    return false;
  }
  t->buf = buf;
  t->cap = cap;
  return true;
}

void text_add(struct text *t, const char *s, size_t n) {
  if (!reserve(t, n))
    return;
  memcpy(t->buf + t->len, s, n);
  t->len += n;
}

void text_printf(struct text *t, const char *format, ...) {
  va_list ap;
  int n;
  if (!reserve(t, 128))
    return;
  va_start(ap, format);
  n = vfmt(t->buf + t->len, t->cap - t->len, format, ap);
  va_end(ap);
  if ((size_t)n >= t->cap - t->len) {
    if (!reserve(t, (size_t)n + 1))
      return;
    va_start(ap, format);
    n = vfmt(t->buf + t->len, t->cap - t->len, format, ap);
    va_end(ap);
  }
  t->len += (size_t)n;
}

void text_free(struct text *t) {
  kfree(t->buf);
  *t = (struct text){0};
}
