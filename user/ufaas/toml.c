// SPDX-License-Identifier: MIT
#include "toml.h"
#include "text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct parser {
  const char *at, *end;
  int line;
  char *table;
  struct toml *toml;
  struct toml_error *error;
};

/* Functions return false after this. */
static bool fail(struct parser *p, const char *format, ...) __attribute__((format(printf, 2, 3)));
static bool fail(struct parser *p, const char *format, ...) {
  va_list args;
  va_start(args, format);
  vsnprintf(p->error->text, sizeof p->error->text, format, args);
  va_end(args);
  p->error->line = p->line;
  return false;
}

static int peek(const struct parser *p) { return p->at < p->end ? (unsigned char)*p->at : -1; }

static void blanks(struct parser *p) {
  while (peek(p) == ' ' || peek(p) == '\t')
    p->at++;
}

/* Over a comment, if there is one, to the end of the line. */
static bool comment(struct parser *p) {
  if (peek(p) != '#')
    return true;
  while (peek(p) >= 0 && peek(p) != '\n') {
    int c = (unsigned char)*p->at++;
    if ((c < 0x20 && c != '\t' && c != '\r') || c == 0x7f)
      return fail(p, "control character in a comment");
  }
  return true;
}

/* Blanks, a comment and the end of the line, or of the text. */
static bool end_of_line(struct parser *p) {
  blanks(p);
  if (!comment(p))
    return false;
  if (peek(p) == '\r' && p->at + 1 < p->end && p->at[1] == '\n')
    p->at++;
  if (peek(p) < 0)
    return true;
  if (peek(p) != '\n')
    return fail(p, "unexpected text behind the value");
  p->at++;
  p->line++;
  return true;
}

static bool hex_escape(struct parser *p, int digits, struct buffer *out) {
  uint32_t code = 0;
  for (int i = 0; i < digits; i++, p->at++) {
    int c = peek(p);
    int value = c >= '0' && c <= '9'   ? c - '0'
                : c >= 'a' && c <= 'f' ? c - 'a' + 10
                : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                       : -1;
    if (value < 0)
      return fail(p, "\\%c needs %d hexadecimal digits", digits == 4 ? 'u' : 'U', digits);
    code = code << 4 | (uint32_t)value;
  }
  if (code == 0 || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))
    return fail(p, "no such character: U+%X", code);
  unsigned char u[4];
  int n = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
  static const unsigned char lead[] = {0, 0, 0xc0, 0xe0, 0xf0};
  for (int i = n - 1; i > 0; i--, code >>= 6)
    u[i] = 0x80 | (code & 0x3f);
  u[0] = (unsigned char)(lead[n] | code);
  buffer_add(out, u, (size_t)n);
  return true;
}

/* Behind a backslash. */
static bool escape(struct parser *p, struct buffer *out) {
  static const char forms[] = "b\bt\tn\nf\fr\r\"\"\\\\";
  int c = peek(p);
  if (c == 'u' || c == 'U') {
    p->at++;
    return hex_escape(p, c == 'u' ? 4 : 8, out);
  }
  for (const char *f = forms; *f; f += 2)
    if (*f == c) {
      buffer_add(out, f + 1, 1);
      p->at++;
      return true;
    }
  return fail(p, "unknown escape in a string");
}

static bool string_body(struct parser *p, char quote, struct buffer *out) {
  for (;;) {
    int c = peek(p);
    if (c < 0 || c == '\n')
      return fail(p, "the string does not end on its line");
    p->at++;
    if (c == quote)
      return true;
    if ((c < 0x20 && c != '\t') || c == 0x7f)
      return fail(p, "control character in a string");
    if (c == '\\' && quote == '"') {
      if (!escape(p, out))
        return false;
    } else {
      char byte = (char)c;
      buffer_add(out, &byte, 1);
    }
  }
}

/* A string in either form; *text is the caller's. */
static bool string(struct parser *p, char **text) {
  char quote = *p->at++;
  if (p->end - p->at >= 2 && p->at[0] == quote && p->at[1] == quote)
    return fail(p, "strings over several lines are not supported");
  struct buffer out = {0};
  if (!string_body(p, quote, &out)) {
    buffer_free(&out);
    return false;
  }
  buffer_add(&out, "", 1);
  if (out.failed || !out.data) {
    buffer_free(&out);
    fail(p, "out of memory");
    return false;
  }
  if (strlen(out.data) + 1 != out.size) {
    buffer_free(&out);
    return fail(p, "NUL in a string");
  }
  *text = out.data;
  return true;
}

static bool is_bare(int c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
         c == '-';
}

static bool key(struct parser *p, char **text) {
  if (peek(p) == '"' || peek(p) == '\'')
    return string(p, text);
  const char *start = p->at;
  while (is_bare(peek(p)))
    p->at++;
  if (p->at == start) {
    fail(p, "a key is missing");
    return false;
  }
  *text = strndup(start, (size_t)(p->at - start));
  if (!*text)
    fail(p, "out of memory");
  return *text;
}

/* ---- values ------------------------------------------------------------------------------- */

static void value_free(struct toml_value *v) {
  free(v->text);
  for (size_t i = 0; i < v->item_count; i++)
    free(v->items[i]);
  free(v->items);
  *v = (struct toml_value){0};
}

static bool add_item(struct parser *p, struct toml_value *v, char *item) {
  char **items = realloc(v->items, (v->item_count + 1) * sizeof *items);
  if (!items) {
    free(item);
    return fail(p, "out of memory");
  }
  v->items = items;
  items[v->item_count++] = item;
  return true;
}

static bool quoted_item(struct parser *p, struct toml_value *v, const char *where) {
  char *text = NULL;
  if (peek(p) != '"' && peek(p) != '\'')
    fail(p, "a string is expected in %s", where);
  else if (string(p, &text))
    return add_item(p, v, text);
  return false;
}

/* Blanks, comments and ends of lines. */
static bool gap(struct parser *p) {
  for (;;) {
    blanks(p);
    if (peek(p) != '#' && peek(p) != '\n' && peek(p) != '\r')
      return true;
    if (!end_of_line(p))
      return false;
  }
}

static bool array(struct parser *p, struct toml_value *v) {
  v->kind = TOML_ARRAY;
  p->at++;
  for (;;) {
    if (!gap(p))
      return false;
    if (peek(p) == ']')
      break;
    if (!quoted_item(p, v, "the array") || !gap(p))
      return false;
    if (peek(p) == ',')
      p->at++;
    else if (peek(p) != ']')
      return fail(p, "',' or ']' is expected in the array");
  }
  p->at++;
  return true;
}

static bool inline_table(struct parser *p, struct toml_value *v) {
  v->kind = TOML_TABLE;
  p->at++;
  blanks(p);
  if (peek(p) == '}') {
    p->at++;
    return true;
  }
  for (;;) {
    char *name = NULL;
    blanks(p);
    if (!key(p, &name))
      return false;
    for (size_t i = 0; i < v->item_count; i += 2)
      if (strcmp(v->items[i], name) == 0) {
        fail(p, "%s is given twice", name);
        free(name);
        return false;
      }
    if (!add_item(p, v, name))
      return false;
    blanks(p);
    if (peek(p) != '=')
      return fail(p, "'=' is expected");
    p->at++;
    blanks(p);
    if (!quoted_item(p, v, "the table"))
      return false;
    blanks(p);
    int c = peek(p);
    if (c == ',' || c == '}')
      p->at++;
    if (c == '}')
      return true;
    if (c != ',')
      return fail(p, "',' or '}' is expected in the table");
  }
}

/* A decimal integer, '_' between digits. */
static bool integer(struct parser *p, struct toml_value *v) {
  v->kind = TOML_INTEGER;
  bool minus = peek(p) == '-';
  if (minus || peek(p) == '+')
    p->at++;
  const char *start = p->at;
  int64_t number = 0;
  bool digit = false;
  for (;; p->at++) {
    int c = peek(p);
    if (c == '_' && digit && p->at + 1 < p->end && p->at[1] >= '0' && p->at[1] <= '9') {
      digit = false;
      continue;
    }
    if (c < '0' || c > '9')
      break;
    digit = true;
    if (__builtin_mul_overflow(number, 10, &number) ||
        __builtin_add_overflow(number, c - '0', &number))
      return fail(p, "the number is too large");
  }
  if (!digit || (*start == '0' && p->at - start > 1))
    return fail(p, "malformed number");
  if (is_bare(peek(p)) || peek(p) == '.' || peek(p) == ':')
    return fail(p, "malformed number (only decimal integers are supported)");
  v->number = minus ? -number : number;
  return true;
}

static bool word(struct parser *p, struct toml_value *v) {
  const char *start = p->at;
  while (is_bare(peek(p)))
    p->at++;
  size_t n = (size_t)(p->at - start);
  v->kind = TOML_BOOLEAN;
  v->number = n == 4 && memcmp(start, "true", 4) == 0;
  if (v->number || (n == 5 && memcmp(start, "false", 5) == 0))
    return true;
  if (n == 0)
    return fail(p, "a value is missing");
  return fail(p, "'%.*s' is not a value (strings need quotes)", n > 40 ? 40 : (int)n, start);
}

static bool value(struct parser *p, struct toml_value *v) {
  int c = peek(p);
  if (c == '"' || c == '\'') {
    v->kind = TOML_STRING;
    return string(p, &v->text);
  }
  if (c == '[')
    return array(p, v);
  if (c == '{')
    return inline_table(p, v);
  if (c == '-' || c == '+' || (c >= '0' && c <= '9'))
    return integer(p, v);
  return word(p, v);
}

/* ---- lines -------------------------------------------------------------------------------- */

/* Takes `name` and what `v` has. */
static bool add_entry(struct parser *p, char *name, struct toml_value *v, int line) {
  struct toml *t = p->toml;
  for (size_t i = 0; i < t->count; i++) {
    const struct toml_entry *e = &t->entries[i];
    if (strcmp(e->table, p->table) == 0 && (name ? e->key && strcmp(e->key, name) == 0 : !e->key)) {
      p->line = line;
      fail(p, "%s%s%s is given twice, first in line %d", name ? "" : "[", name ? name : p->table,
           name ? "" : "]", e->line);
      goto lost;
    }
  }
  struct toml_entry *entries = realloc(t->entries, (t->count + 1) * sizeof *entries);
  if (entries)
    t->entries = entries;
  char *table = strdup(p->table);
  if (!entries || !table) {
    free(table);
    fail(p, "out of memory");
    goto lost;
  }
  entries[t->count++] = (struct toml_entry){.table = table, .key = name, .value = *v, .line = line};
  return true;
lost:
  free(name);
  value_free(v);
  return false;
}

/* [a.b]: sets p->table. */
static bool header(struct parser *p) {
  struct buffer name = {0};
  p->at++;
  if (peek(p) == '[') {
    return fail(p, "arrays of tables are not supported");
  }
  for (;;) {
    char *part = NULL;
    blanks(p);
    if (!key(p, &part)) {
      buffer_free(&name);
      return false;
    }
    buffer_format(&name, "%s%s", name.size ? "." : "", part);
    free(part);
    blanks(p);
    if (peek(p) != '.')
      break;
    p->at++;
  }
  buffer_add(&name, "", 1);
  if (peek(p) != ']' || name.failed) {
    buffer_free(&name);
    return fail(p, "']' is expected");
  }
  p->at++;
  free(p->table);
  p->table = name.data;
  int line = p->line;
  struct toml_value none = {0};
  return end_of_line(p) && add_entry(p, NULL, &none, line);
}

static bool assignment(struct parser *p) {
  char *name = NULL;
  int line = p->line;
  if (!key(p, &name))
    return false;
  struct toml_value v = {0};
  blanks(p);
  if (peek(p) == '.') {
    fail(p, "dotted keys are not supported, use a [table]");
    goto bad;
  }
  if (peek(p) != '=') {
    fail(p, "'=' is expected behind %.60s", name);
    goto bad;
  }
  p->at++;
  blanks(p);
  if (!value(p, &v) || !end_of_line(p))
    goto bad;
  return add_entry(p, name, &v, line);
bad:
  free(name);
  value_free(&v);
  return false;
}

bool toml_parse(struct toml *toml, const char *text, size_t size, struct toml_error *error) {
  *toml = (struct toml){0};
  struct parser p = {.at = text, .end = text + size, .line = 1, .toml = toml, .error = error};
  p.table = strdup("");
  bool ok = p.table || fail(&p, "out of memory");
  while (ok && gap(&p) && p.at < p.end)
    ok = peek(&p) == '[' ? header(&p) : assignment(&p);
  ok = ok && p.at == p.end;
  free(p.table);
  if (!ok)
    toml_free(toml);
  return ok;
}

void toml_free(struct toml *toml) {
  for (size_t i = 0; i < toml->count; i++) {
    free(toml->entries[i].table);
    free(toml->entries[i].key);
    value_free(&toml->entries[i].value);
  }
  free(toml->entries);
  *toml = (struct toml){0};
}

const char *toml_kind_name(enum toml_kind kind) {
  static const char *const names[] = {"a string", "an integer", "true or false",
                                      "an array of strings", "a table"};
  return names[kind];
}
