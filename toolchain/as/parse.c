/* SPDX-License-Identifier: MIT */
/* From raw statements to struct stmt: labels, directives, assignments, prefixes, mnemonics. */
#include "as.h"

#include <ctype.h>
#include <string.h>

static struct stmt *prog_add(struct prog *p, const struct raw *raw, enum stmt_kind kind) {
  if (p->count == p->cap) {
    p->cap = p->cap ? 2 * p->cap : 4096;
    p->at = xgrow(p->at, p->cap * sizeof *p->at);
  }
  struct stmt *st = &p->at[p->count++];
  *st = (struct stmt){
      .kind = kind, .pos = raw->pos, .row = raw->row, .name = "", .prefix = "", .args = ""};
  return st;
}

static const char *skip_blanks(const char *s) {
  while (isspace((unsigned char)*s))
    s++;
  return s;
}

/* Length of the word at s: an identifier, a number or a quoted symbol. */
static size_t word_length(const char *s) {
  size_t n = 0;
  if (*s == '"') {
    for (n = 1; s[n] && s[n] != '"'; n++)
      ;
    return s[n] ? n + 1 : n;
  }
  while (is_ident(s[n]))
    n++;
  return n;
}

static const char *const prefixes[] = {"lock", "rep",     "repe",     "repz",     "repne", "repnz",
                                       "bnd",  "notrack", "xacquire", "xrelease", NULL};

static char *lower(char *s) {
  for (char *p = s; *p; p++)
    *p = (char)tolower((unsigned char)*p);
  return s;
}

/* Adds a prefix word to those collected so far; hints without effect on us are dropped. */
static char *add_prefix(char *have, const char *word) {
  if (streq(word, "bnd") || streq(word, "notrack") || starts(word, "xa") || starts(word, "xr"))
    return have;
  return fmt("%s%s ", have, word);
}

/*
 * An instruction, with prefixes that may have stood in statements of their own (`pending`).
 * Returns the prefixes that still wait for their instruction.
 */
static char *parse_insn(struct prog *out, const struct raw *raw, const char *s, char *pending) {
  for (;;) {
    size_t n = word_length(s);
    if (!n)
      refuse(raw->pos, "cannot parse `%s`", raw->text);
    char *word = lower(xstrndup(s, n));
    s = skip_blanks(s + n);
    if (is_one_of(word, prefixes)) {
      pending = add_prefix(pending, word);
      if (!*s)
        return pending;
      continue;
    }
    struct stmt *st = prog_add(out, raw, ST_INSN);
    st->name = word;
    st->prefix = pending;
    st->args = xstrndup(s, strlen(s));
    return "";
  }
}

static char *parse_one(struct prog *out, const struct raw *raw, char *pending) {
  const char *s = raw->text;
  for (;;) {
    s = skip_blanks(s);
    size_t n = word_length(s);
    const char *after = skip_blanks(s + n);
    if (!n || *after != ':')
      break;
    prog_add(out, raw, ST_LABEL)->name = xstrndup(s, n);
    s = after + 1;
  }
  if (!*s)
    return pending;
  size_t n = word_length(s);
  const char *after = skip_blanks(s + n);
  if (n && *after == '=') {
    struct stmt *st = prog_add(out, raw, ST_ASSIGN);
    st->name = xstrndup(s, n);
    after = skip_blanks(after + (after[1] == '=' ? 2 : 1));
    st->args = xstrndup(after, strlen(after));
    return pending;
  }
  if (*s == '.') {
    struct stmt *st = prog_add(out, raw, ST_DIRECTIVE);
    st->name = lower(xstrndup(s, n));
    st->args = xstrndup(after, strlen(after));
    return pending;
  }
  if (*s == '{') { /* {vex}, {disp32}: hints for the encoder, of no use here */
    const char *end = strchr(s, '}');
    if (!end)
      refuse(raw->pos, "cannot parse `%s`", raw->text);
    s = skip_blanks(end + 1);
  }
  return parse_insn(out, raw, s, pending);
}

void parse(const struct raws *in, struct prog *out) {
  char *pending = "";
  for (size_t i = 0; i < in->count; i++) {
    const struct raw *raw = &in->at[i];
    if (raw->marker)
      prog_add(out, raw, ST_MARKER)->args = raw->text;
    else
      pending = parse_one(out, raw, pending);
  }
}
