/* SPDX-License-Identifier: MIT */
/* Memory, strings, errors, and the one hash table of the assembler stage. */
#include "as.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

void *xalloc(size_t size) { return xgrow(NULL, size); }

void *xgrow(void *old, size_t size) {
  void *p = realloc(old, size ? size : 1);
  if (!p)
    fatal("out of memory");
  return p;
}

char *xstrndup(const char *s, size_t n) {
  char *p = xalloc(n + 1);
  memcpy(p, s, n);
  p[n] = 0;
  return p;
}

char *fmt(const char *format, ...) {
  va_list ap;
  char *s;
  va_start(ap, format);
  int n = vasprintf(&s, format, ap);
  va_end(ap);
  if (n < 0)
    fatal("out of memory");
  return s;
}

void refuse(struct pos pos, const char *format, ...) {
  va_list ap;
  fprintf(stderr, "%s:%d: error: ", pos.file, pos.line);
  va_start(ap, format);
  vfprintf(stderr, format, ap);
  va_end(ap);
  fputc('\n', stderr);
  exit(1);
}

void fatal(const char *format, ...) {
  va_list ap;
  fputs("ufork-as: ", stderr);
  va_start(ap, format);
  vfprintf(stderr, format, ap);
  va_end(ap);
  fputc('\n', stderr);
  exit(1);
}

bool streq(const char *a, const char *b) { return strcmp(a, b) == 0; }

bool starts(const char *s, const char *prefix) { return strncmp(s, prefix, strlen(prefix)) == 0; }

bool is_one_of(const char *s, const char *const *list) {
  for (; *list; list++)
    if (streq(s, *list))
      return true;
  return false;
}

bool is_ident_start(char c) {
  return isalpha((unsigned char)c) || c == '_' || c == '.' || c == '$';
}

bool is_ident(char c) { return is_ident_start(c) || isdigit((unsigned char)c); }

bool parse_number(const char *s, long long *value) {
  char *end;
  bool minus = false;
  while (isspace((unsigned char)*s))
    s++;
  for (; *s == '-' || *s == '+'; s++)
    minus ^= *s == '-';
  if (!isdigit((unsigned char)*s))
    return false;
  errno = 0;
  unsigned long long v = strtoull(s, &end, 0);
  while (isspace((unsigned char)*end))
    end++;
  if (*end || errno)
    return false;
  *value = minus ? -(long long)v : (long long)v;
  return true;
}

static size_t hash(const char *s) {
  size_t h = 1469598103934665603u;
  for (; *s; s++)
    h = (h ^ (unsigned char)*s) * 1099511628211u;
  return h;
}

static struct slot *map_slot(const struct map *m, const char *key) {
  size_t i = hash(key) & (m->cap - 1);
  // NOLINTNEXTLINE(clang-analyzer-*): slots are zeroed, and the old table is not looked at again
  while (m->slots[i].key && !streq(m->slots[i].key, key))
    i = (i + 1) & (m->cap - 1);
  return &m->slots[i];
}

void *map_get(const struct map *m, const char *key) {
  return m->cap ? map_slot(m, key)->value : NULL;
}

void map_set(struct map *m, const char *key, void *value) {
  if (2 * m->used >= m->cap) {
    struct map bigger = {.cap = m->cap ? 2 * m->cap : 1024};
    bigger.slots = xalloc(bigger.cap * sizeof *bigger.slots);
    memset(bigger.slots, 0, bigger.cap * sizeof *bigger.slots);
    for (size_t i = 0; i < m->cap; i++)
      if (m->slots[i].key)
        *map_slot(&bigger, m->slots[i].key) = m->slots[i];
    bigger.used = m->used;
    free(m->slots);
    *m = bigger;
  }
  struct slot *slot = map_slot(m, key);
  if (!slot->key)
    m->used++;
  *slot = (struct slot){key, value};
}
