/* SPDX-License-Identifier: MIT */
#include "lib/fmt.h"

#include "lib/string.h"
#include "lib/types.h"

struct out {
  char *dst;
  size_t size;
  size_t len;
};

struct spec {
  bool left, zero;
  int width, prec; /* prec -1: none */
  int longs;       /* 0 int, 1 long/size_t, 2 long long */
};

static void put(struct out *o, char c) {
  if (o->len + 1 < o->size)
    o->dst[o->len] = c;
  o->len++;
}

static void put_padded(struct out *o, const char *s, size_t n, const struct spec *sp, char pad) {
  size_t fill = sp->width > 0 && (size_t)sp->width > n ? (size_t)sp->width - n : 0;
  if (!sp->left)
    for (; fill > 0; fill--)
      put(o, pad);
  for (size_t i = 0; i < n; i++)
    put(o, s[i]);
  for (; fill > 0; fill--)
    put(o, ' ');
}

static void put_number(struct out *o, u64 v, bool negative, unsigned base, const struct spec *sp) {
  char buf[72];
  size_t at = sizeof buf;
  size_t digits = 0;
  size_t least = sp->prec >= 0 ? (size_t)sp->prec : 1;
  if (sp->zero && !sp->left && sp->prec < 0 && sp->width > 0)
    least = (size_t)sp->width - (negative ? 1 : 0);
  if (least > sizeof buf - 2)
    least = sizeof buf - 2;
  for (; v != 0 || digits < least; v /= base, digits++)
    buf[--at] = "0123456789abcdef"[v % base];
  if (negative)
    buf[--at] = '-';
  put_padded(o, buf + at, sizeof buf - at, sp, ' ');
}

static const char *parse_int(const char *f, int *v, va_list *ap) {
  *v = 0;
  if (*f == '*') {
    *v = va_arg(*ap, int);
    return f + 1;
  }
  for (; *f >= '0' && *f <= '9'; f++)
    *v = *v * 10 + (*f - '0');
  return f;
}

static const char *parse_spec(const char *f, struct spec *sp, va_list *ap) {
  *sp = (struct spec){.prec = -1};
  for (;; f++) {
    if (*f == '-')
      sp->left = true;
    else if (*f == '0')
      sp->zero = true;
    else
      break;
  }
  f = parse_int(f, &sp->width, ap);
  if (*f == '.')
    f = parse_int(f + 1, &sp->prec, ap);
  for (;; f++) {
    if (*f == 'l')
      sp->longs++;
    else if (*f == 'z')
      sp->longs = 1;
    else if (*f != 'h')
      break;
  }
  return f;
}

static void put_arg(struct out *o, char conv, const struct spec *sp, va_list *ap) {
  switch (conv) {
  case 'd':
  case 'i': {
    i64 v = sp->longs ? va_arg(*ap, i64) : va_arg(*ap, int);
    put_number(o, v < 0 ? 0 - (u64)v : (u64)v, v < 0, 10, sp);
    break;
  }
  case 'u':
  case 'x':
  case 'o': {
    u64 v = sp->longs ? va_arg(*ap, u64) : va_arg(*ap, unsigned);
    put_number(o, v, false, conv == 'u' ? 10 : conv == 'x' ? 16 : 8, sp);
    break;
  }
  case 'p':
    put(o, '0');
    put(o, 'x');
    put_number(o, (u64)(uintptr_t)va_arg(*ap, void *), false, 16, sp);
    break;
  case 'c': {
    char c = (char)va_arg(*ap, int);
    put_padded(o, &c, 1, sp, ' ');
    break;
  }
  case 's': {
    const char *s = va_arg(*ap, const char *);
    if (!s)
      s = "(null)";
    put_padded(o, s, sp->prec >= 0 ? strnlen(s, (size_t)sp->prec) : strlen(s), sp, ' ');
    break;
  }
  default:
    put(o, conv);
  }
}

int vfmt(char *dst, size_t size, const char *format, va_list ap) {
  struct out o = {dst, size, 0};
  va_list args;
  va_copy(args, ap);
  for (const char *f = format; *f; f++) {
    if (*f != '%') {
      put(&o, *f);
      continue;
    }
    struct spec sp;
    f = parse_spec(f + 1, &sp, &args);
    if (!*f)
      break;
    put_arg(&o, *f, &sp, &args);
  }
  va_end(args);
  if (size > 0)
    dst[o.len < size ? o.len : size - 1] = 0;
  return (int)o.len;
}

int fmt(char *dst, size_t size, const char *format, ...) {
  va_list ap;
  va_start(ap, format);
  int n = vfmt(dst, size, format, ap);
  va_end(ap);
  return n;
}
