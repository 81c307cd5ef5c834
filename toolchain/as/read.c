/* SPDX-License-Identifier: MIT */
/* From characters to raw statements: comments, strings, `;`, preprocessor line markers. */
#include "as.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

void raws_add(struct raws *list, struct raw raw) {
  if (list->count == list->cap) {
    list->cap = list->cap ? 2 * list->cap : 4096;
    list->at = xgrow(list->at, list->cap * sizeof *list->at);
  }
  list->at[list->count++] = raw;
}

static char *trimmed(const char *s, size_t n) {
  while (n && isspace((unsigned char)*s))
    s++, n--;
  while (n && isspace((unsigned char)s[n - 1]))
    n--;
  return xstrndup(s, n);
}

/* Length of the string or character constant at s, 1 if there is none. */
static size_t literal(const char *s) {
  if (*s == '\'' && s[1])
    return s[1] == '\\' && s[2] ? 3 : s[2] == '\'' ? 3 : 2;
  if (*s != '"')
    return 1;
  size_t n = 1;
  while (s[n] && s[n] != '"')
    n += s[n] == '\\' && s[n + 1] ? 2 : 1;
  return s[n] ? n + 1 : n;
}

void raws_split(struct raws *list, const char *line, struct pos pos, int row) {
  while (*line) {
    size_t n = 0;
    while (line[n] && line[n] != ';')
      n += literal(line + n);
    char *text = trimmed(line, n);
    if (*text)
      raws_add(list, (struct raw){.text = text, .pos = pos, .row = row});
    line += n + (line[n] == ';');
  }
}

static char *slurp(const char *file, size_t *size) {
  FILE *f = streq(file, "-") ? stdin : fopen(file, "r");
  if (!f)
    fatal("cannot open %s", file);
  size_t cap = 1 << 16, n = 0, got;
  char *buf = xalloc(cap + 1);
  while ((got = fread(buf + n, 1, cap - n, f)) > 0) {
    n += got;
    if (n == cap)
      buf = xgrow(buf, (cap *= 2) + 1);
  }
  if (ferror(f))
    fatal("cannot read %s", file);
  if (f != stdin)
    fclose(f);
  buf[n] = 0;
  *size = n;
  return buf;
}

/* Position of the reader: physical row, and what line markers make of it. */
struct cursor {
  const char *file; /* of the input itself */
  struct pos pos;
  int row;
  bool comment; /* inside a block comment */
};

/*
 * `# 12 "file" flags`. gcc brackets inline assembly with `# LINE "file" 1` and `# 0 "" 2`; the
 * latter returns to the assembly file itself.
 */
static bool line_marker(struct cursor *c, const char *s, struct raws *list) {
  char *end;
  while (*s == ' ' || *s == '\t')
    s++;
  if (*s++ != '#')
    return false;
  while (*s == ' ' || *s == '\t')
    s++;
  if (!isdigit((unsigned char)*s))
    return false;
  long line = strtol(s, &end, 10);
  while (*end == ' ' || *end == '\t')
    end++;
  size_t n = *end == '"' ? literal(end) : 0;
  if (n < 2)
    return false;
  struct pos next = {xstrndup(end + 1, n - 2), (int)line};
  if (!*next.file)
    next = (struct pos){c->file, c->row + 1};
  raws_add(list, (struct raw){.text = fmt("# %d \"%s\"", next.line, next.file),
                              .pos = next,
                              .row = c->row,
                              .marker = true});
  c->pos = (struct pos){next.file, next.line - 1};
  return true;
}

/* Blanks out comments of one line in place. */
static void strip_comments(struct cursor *c, char *line) {
  char *p = line;
  while (isspace((unsigned char)*p))
    p++;
  if (!c->comment && *p == '/' && p[1] != '*') {
    *p = 0;
    return;
  }
  for (p = line; *p;) {
    if (c->comment) {
      bool end = p[0] == '*' && p[1] == '/';
      c->comment = !end;
      *p++ = ' ';
      if (end)
        *p++ = ' ';
    } else if (*p == '#') {
      *p = 0;
    } else if (p[0] == '/' && p[1] == '*') {
      c->comment = true;
      *p++ = ' ';
      *p++ = ' ';
    } else {
      p += literal(p);
    }
  }
}

void read_source(struct raws *list, const char *file) {
  size_t size;
  char *text = slurp(file, &size);
  const char *shown = streq(file, "-") ? "<stdin>" : file;
  struct cursor c = {.file = shown, .pos = {shown, 0}};
  for (char *line = text, *end = text + size; line < end;) {
    char *nl = memchr(line, '\n', (size_t)(end - line));
    char *next = nl ? nl + 1 : end;
    if (nl)
      *nl = 0;
    c.row++;
    c.pos.line++;
    if (c.comment || !line_marker(&c, line, list)) {
      strip_comments(&c, line);
      raws_split(list, line, c.pos, c.row);
    }
    line = next;
  }
}
