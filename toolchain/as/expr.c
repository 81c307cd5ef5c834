/* SPDX-License-Identifier: MIT */
/* Absolute expressions of conditional assembly, with GNU as's precedence. */
#include "as.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

long long not_absolute;

struct parser {
  const char *s;
  const struct map *symbols;
  bool bad;
};

static void blanks(struct parser *p) {
  while (isspace((unsigned char)*p->s))
    p->s++;
}

static bool take(struct parser *p, const char *op) {
  blanks(p);
  size_t n = strlen(op);
  if (strncmp(p->s, op, n) != 0)
    return false;
  p->s += n;
  return true;
}

static long long level(struct parser *p, int n);

static long long symbol(struct parser *p) {
  size_t n = 0;
  while (is_ident(p->s[n]))
    n++;
  long long *value = n ? map_get(p->symbols, xstrndup(p->s, n)) : NULL;
  p->s += n;
  p->bad |= !value || value == &not_absolute;
  return value ? *value : 0;
}

static long long primary(struct parser *p) {
  if (take(p, "-"))
    return -primary(p);
  if (take(p, "+"))
    return primary(p);
  if (take(p, "~"))
    return ~primary(p);
  if (take(p, "!"))
    return !primary(p);
  if (take(p, "(")) {
    long long v = level(p, 0);
    p->bad |= !take(p, ")");
    return v;
  }
  blanks(p);
  if (*p->s == '\'' && p->s[1]) {
    p->s += p->s[2] == '\'' ? 3 : 2;
    return p->s[-1] == '\'' ? p->s[-2] : p->s[-1];
  }
  if (isdigit((unsigned char)*p->s)) {
    char *end;
    long long v = (long long)strtoull(p->s, &end, 0);
    p->s = end;
    p->bad |= is_ident(*end);
    return v;
  }
  return symbol(p);
}

/* From loose to tight; within a row longer operators first. Truth is -1, as in GNU as. */
static const char *const operators[][8] = {
    {"||", NULL},     {"&&", NULL},          {"==", "!=", "<>", "<=", ">=", "<", ">", NULL},
    {"+", "-", NULL}, {"|", "&", "^", NULL}, {"*", "/", "%", "<<", ">>", NULL},
};
#define LEVELS ((int)(sizeof operators / sizeof *operators))

static long long apply(struct parser *p, const char *op, long long a, long long b) {
  if (streq(op, "||"))
    return a || b;
  if (streq(op, "&&"))
    return a && b;
  if (streq(op, "=="))
    return -(a == b);
  if (streq(op, "!=") || streq(op, "<>"))
    return -(a != b);
  if (streq(op, "<="))
    return -(a <= b);
  if (streq(op, ">="))
    return -(a >= b);
  if (streq(op, "<"))
    return -(a < b);
  if (streq(op, ">"))
    return -(a > b);
  if (streq(op, "<<"))
    return b < 0 || b > 63 ? 0 : (long long)((unsigned long long)a << b);
  if (streq(op, ">>"))
    return b < 0 || b > 63 ? 0 : (long long)((unsigned long long)a >> b);
  if ((*op == '/' || *op == '%') && (b == 0 || b == -1)) {
    p->bad |= b == 0;
    return b && *op == '/' ? -a : 0;
  }
  return *op == '+'   ? a + b
         : *op == '-' ? a - b
         : *op == '|' ? a | b
         : *op == '&' ? a & b
         : *op == '^' ? a ^ b
         : *op == '*' ? a * b
         : *op == '/' ? a / b
                      : a % b;
}

/* `|` must not eat half of `||`, nor `<` half of `<<`. */
static const char *take_operator(struct parser *p, int n) {
  blanks(p);
  for (const char *const *op = operators[n]; *op; op++) {
    size_t len = strlen(*op);
    bool doubled = len == 1 && strchr("|&<>", **op) && p->s[0] == **op && p->s[1] == **op;
    if (!doubled && take(p, *op))
      return *op;
  }
  return NULL;
}

static long long level(struct parser *p, int n) {
  if (n == LEVELS)
    return primary(p);
  long long v = level(p, n + 1);
  for (const char *op; !p->bad && (op = take_operator(p, n));)
    v = apply(p, op, v, level(p, n + 1));
  return v;
}

bool eval(const char *expr, const struct map *symbols, long long *value) {
  struct parser p = {.s = expr, .symbols = symbols};
  *value = level(&p, 0);
  blanks(&p);
  return !p.bad && !*p.s;
}
