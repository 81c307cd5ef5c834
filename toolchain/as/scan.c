/* SPDX-License-Identifier: MIT */
/*
 * First pass: which statements are code, and which labels can be the target of an indirect jump
 * and so must start a bundle. Those are the labels that something other than a direct branch
 * mentions: functions that other files see, entries of jump tables, addresses taken by
 * instructions, landing pads of exceptions.
 */
#include "as.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

/* ---- sections ------------------------------------------------------------------------ */

static struct section section_named(const char *name, const char *flags) {
  static const char *const loaded[] = {".data",  ".rodata",     ".bss",        ".tdata",
                                       ".tbss",  ".init_array", ".fini_array", ".preinit_array",
                                       ".ctors", ".dtors",      NULL};
  struct section s = {.name = name};
  if (starts(name, ".text") || streq(name, ".init") || streq(name, ".fini"))
    s.exec = s.alloc = true;
  for (const char *const *p = loaded; *p; p++)
    s.alloc |= starts(name, *p);
  if (flags) {
    s.alloc = strchr(flags, 'a') != NULL;
    s.exec = s.alloc && strchr(flags, 'x') != NULL;
  }
  return s;
}

/* `name, "flags", ...` */
static struct section section_parse(const char *args) {
  size_t n = 0;
  bool quoted = *args == '"';
  if (quoted)
    args++;
  while (args[n] && args[n] != ',' && args[n] != '"' && !isspace((unsigned char)args[n]))
    n++;
  const char *quote = strchr(args + n + quoted, '"');
  const char *flags = NULL;
  if (quote) {
    const char *end = strchr(quote + 1, '"');
    flags = xstrndup(quote + 1, end ? (size_t)(end - quote - 1) : strlen(quote + 1));
  }
  return section_named(xstrndup(args, n), flags);
}

void sections_init(struct sections *s) {
  memset(s, 0, sizeof *s);
  s->now = s->before = section_named(".text", NULL);
}

static void section_switch(struct sections *s, struct section next) {
  s->before = s->now;
  s->now = next;
}

bool sections_step(struct sections *s, const struct stmt *st) {
  static const char *const plain[] = {".text", ".data", ".bss", NULL};
  if (is_one_of(st->name, plain)) {
    section_switch(s, section_named(st->name, NULL));
  } else if (streq(st->name, ".section")) {
    section_switch(s, section_parse(st->args));
  } else if (streq(st->name, ".pushsection")) {
    if (s->depth == 32)
      refuse(st->pos, ".pushsection is nested too deeply");
    s->saved[s->depth].now = s->now;
    s->saved[s->depth++].before = s->before;
    section_switch(s, section_parse(st->args));
  } else if (streq(st->name, ".popsection")) {
    if (!s->depth)
      refuse(st->pos, ".popsection without .pushsection");
    s->now = s->saved[--s->depth].now;
    s->before = s->saved[s->depth].before;
  } else if (streq(st->name, ".previous")) {
    section_switch(s, s->before);
  } else {
    return false;
  }
  return true;
}

/* ---- labels -------------------------------------------------------------------------- */

/* Named labels of the file, and for each numeric label the statements that define it. */
struct labels {
  struct map named; /* -> struct stmt */
  struct numeric {
    size_t *at;
    size_t count, cap;
  } numeric[100];
};

static bool is_numeric(const char *name) { return isdigit((unsigned char)*name); }

static struct numeric *numeric_of(struct labels *l, const char *digits) {
  unsigned long n = strtoul(digits, NULL, 10);
  return n < 100 ? &l->numeric[n] : NULL;
}

static void label_add(struct labels *l, struct prog *prog, size_t i) {
  struct stmt *st = &prog->at[i];
  if (!is_numeric(st->name)) {
    map_set(&l->named, st->name, st);
    return;
  }
  struct numeric *n = numeric_of(l, st->name);
  if (!n)
    refuse(st->pos, "local label `%s` is too large", st->name);
  if (n->count == n->cap) {
    n->cap = n->cap ? 2 * n->cap : 16;
    n->at = xgrow(n->at, n->cap * sizeof *n->at);
  }
  n->at[n->count++] = i;
}

/* The statement that `1f` or `1b`, seen in statement `from`, refers to. */
static struct stmt *numeric_find(struct labels *l, struct prog *prog, const char *name,
                                 size_t from) {
  char dir = name[strlen(name) - 1];
  struct numeric *n = numeric_of(l, name);
  if (!n || (dir != 'f' && dir != 'b'))
    return NULL;
  struct stmt *found = NULL;
  for (size_t i = 0; i < n->count; i++) {
    if (dir == 'b' && n->at[i] < from)
      found = &prog->at[n->at[i]];
    if (dir == 'f' && n->at[i] > from)
      return &prog->at[n->at[i]];
  }
  return found;
}

/* ---- references ---------------------------------------------------------------------- */

struct scan {
  struct prog *prog;
  struct labels labels;
  struct sections sections;
};

static void mark(struct scan *s, const char *name, size_t from) {
  struct stmt *label = is_numeric(name) ? numeric_find(&s->labels, s->prog, name, from)
                                        : map_get(&s->labels.named, name);
  if (label && label->exec)
    label->target = true;
}

/* Region boundaries in exception tables are not jumped to. */
static bool is_boundary(const char *name) {
  return starts(name, ".LEHB") || starts(name, ".LEHE") || starts(name, ".LFB") ||
         starts(name, ".LFE") || starts(name, ".LCOLDB") || starts(name, ".LHOTB");
}

/* Marks every symbol that `text` mentions. */
static void mark_all(struct scan *s, const char *text, size_t from) {
  bool exceptions = starts(s->sections.now.name, ".gcc_except_table");
  for (const char *p = text; *p;) {
    if (*p == '%' || *p == '@') { /* register, relocation operator */
      for (p++; is_ident(*p); p++)
        ;
    } else if (*p == '"') {
      size_t n = 1;
      while (p[n] && p[n] != '"')
        n++;
      mark(s, xstrndup(p, n + (p[n] == '"')), from);
      p += n + (p[n] == '"');
    } else if (is_ident(*p)) {
      if (*p == '$')
        p++;
      size_t n = 0;
      while (is_ident(p[n]))
        n++;
      char *name = xstrndup(p, n);
      if (!exceptions || !is_boundary(name))
        mark(s, name, from);
      p += n;
    } else {
      p++;
    }
  }
}

bool is_direct_branch(const char *mnemonic) {
  return mnemonic[0] == 'j' || starts(mnemonic, "loop") || streq(mnemonic, "call") ||
         streq(mnemonic, "callq");
}

static void scan_directive(struct scan *s, const struct stmt *st, size_t i) {
  static const char *const data[] = {".byte",    ".2byte", ".4byte", ".8byte", ".short", ".value",
                                     ".hword",   ".word",  ".long",  ".int",   ".quad",  ".uleb128",
                                     ".sleb128", ".dc.l",  ".dc.q",  NULL};
  static const char *const names[] = {".globl", ".global", ".weak",  ".type", ".symver",
                                      ".set",   ".equ",    ".equiv", NULL};
  if (sections_step(&s->sections, st))
    return;
  bool table = is_one_of(st->name, data) && s->sections.now.alloc && !st->exec;
  if (table || is_one_of(st->name, names))
    mark_all(s, st->args, i);
}

void scan(struct prog *prog) {
  struct scan s = {.prog = prog};
  sections_init(&s.sections);
  for (size_t i = 0; i < prog->count; i++) {
    struct stmt *st = &prog->at[i];
    if (st->kind == ST_DIRECTIVE)
      sections_step(&s.sections, st);
    st->exec = s.sections.now.exec;
    if (st->kind == ST_LABEL)
      label_add(&s.labels, prog, i);
  }
  sections_init(&s.sections);
  for (size_t i = 0; i < prog->count; i++) {
    struct stmt *st = &prog->at[i];
    if (st->kind == ST_DIRECTIVE)
      scan_directive(&s, st, i);
    else if (st->kind == ST_ASSIGN)
      mark_all(&s, st->args, i);
    else if (st->kind == ST_INSN && (!is_direct_branch(st->name) || strchr(st->args, '*')))
      mark_all(&s, st->args, i);
  }
}
