/* SPDX-License-Identifier: MIT */
/*
 * Macros, repetition, conditional assembly and inclusion. The assembler behind us would expand
 * them too, but only after the rewriter has to know the instructions.
 */
#include "as.h"

#include <ctype.h>
#include <string.h>

#define MAX_DEPTH 200
#define MAX_PARAMS 64

struct param {
  char *name, *value; /* value: the default, NULL if there is none */
  bool required, vararg;
};

struct macro {
  struct param params[MAX_PARAMS];
  int count;
  struct raws body;
};

struct expander {
  struct raws *out;
  const char *const *dirs;
  struct map macros, symbols; /* symbols: long long, or &not_absolute if defined but not absolute */
  int depth, serial;
  bool exit; /* .exitm: leave the innermost expansion */
};

/* State of one .if: are its statements taken now, and was a branch taken already? */
struct cond {
  bool active, taken;
};

static void run(struct expander *x, const struct raws *in);

/* ---- text ---------------------------------------------------------------------------- */

static const char *skip_blanks(const char *s) {
  while (isspace((unsigned char)*s))
    s++;
  return s;
}

static char *trim(const char *s, size_t n) {
  while (n && isspace((unsigned char)*s))
    s++, n--;
  while (n && isspace((unsigned char)s[n - 1]))
    n--;
  return xstrndup(s, n);
}

static char *first_word(const char *s) {
  size_t n = 0;
  while (is_ident(s[n]))
    n++;
  return xstrndup(s, n);
}

/* Blanks separate macro arguments too, unless an operator stands beside them. */
static bool blank_separates(const char *start, const char *p) {
  const char *next = skip_blanks(p);
  if (p == start || !*next || *next == ',' || strchr("+-*/|&^=<>)", *next))
    return false;
  return !strchr("+-*/|&^=<>(,", p[-1]);
}

static size_t argument_length(const char *s, bool blanks) {
  size_t n = 0;
  int depth = 0;
  for (; s[n]; n++) {
    if (s[n] == '"') {
      for (n++; s[n] && s[n] != '"'; n++)
        n += s[n] == '\\' && s[n + 1];
      if (!s[n])
        break;
    } else if (s[n] == '(' || s[n] == '[') {
      depth++;
    } else if (s[n] == ')' || s[n] == ']') {
      depth--;
    } else if (depth == 0 && s[n] == ',') {
      break;
    } else if (depth == 0 && blanks && isspace((unsigned char)s[n]) && blank_separates(s, s + n)) {
      break;
    }
  }
  return n;
}

static char *unquote(char *s) {
  size_t n = strlen(s);
  return n >= 2 && s[0] == '"' && s[n - 1] == '"' ? xstrndup(s + 1, n - 2) : s;
}

/* Takes the next argument off *s; NULL at the end. */
static char *next_argument(const char **s) {
  *s = skip_blanks(*s);
  if (!**s)
    return NULL;
  size_t n = argument_length(*s, true);
  char *arg = trim(*s, n);
  *s = skip_blanks(*s + n);
  if (**s == ',')
    (*s)++;
  return arg;
}

/* Replaces \name, \@ and \() in a statement of a macro's body. */
static char *substitute(const char *text, const struct param *params, int count, int serial) {
  char *out;
  size_t size;
  FILE *f = open_memstream(&out, &size);
  while (*text) {
    if (*text != '\\') {
      fputc(*text++, f);
      continue;
    }
    text++;
    size_t n = 0;
    while (is_ident(text[n]) && text[n] != '$' && (n == 0 || text[n] != '.'))
      n++;
    int i = 0;
    while (i < count && !(strlen(params[i].name) == n && strncmp(params[i].name, text, n) == 0))
      i++;
    if (n && i < count) {
      fputs(params[i].value ? params[i].value : "", f);
      text += n;
    } else if (*text == '@') {
      fprintf(f, "%d", serial);
      text++;
    } else if (text[0] == '(' && text[1] == ')') {
      text += 2;
    } else {
      fputc('\\', f);
    }
  }
  fclose(f);
  return out;
}

static void expand_body(struct expander *x, const struct raws *body, const struct param *params,
                        int count, const struct raw *site) {
  struct raws list = {0};
  if (x->depth == MAX_DEPTH)
    refuse(site->pos, "macros are nested too deeply");
  int serial = x->serial++;
  for (size_t i = 0; i < body->count; i++)
    if (!body->at[i].marker)
      raws_split(&list, substitute(body->at[i].text, params, count, serial), site->pos, site->row);
  x->depth++;
  run(x, &list);
  x->depth--;
}

/* ---- definitions --------------------------------------------------------------------- */

/* Index of the statement that closes the block opened at `from`; collects the body. */
static size_t collect(const struct raws *in, size_t from, struct raws *body) {
  static const char *const loops[] = {".rept", ".irp", ".irpc", NULL};
  bool macro = streq(first_word(in->at[from].text), ".macro");
  int depth = 1;
  for (size_t i = from + 1; i < in->count; i++) {
    char *word = first_word(in->at[i].text);
    if (macro ? streq(word, ".macro") : is_one_of(word, loops))
      depth++;
    if (streq(word, macro ? ".endm" : ".endr") && --depth == 0)
      return i;
    raws_add(body, in->at[i]);
  }
  refuse(in->at[from].pos, "`%s` is never closed", in->at[from].text);
}

static void parse_param(struct param *p, char *text) {
  char *mark = strpbrk(text, ":=");
  *p = (struct param){.name = mark ? trim(text, (size_t)(mark - text)) : text};
  if (mark && *mark == ':') {
    p->required = starts(skip_blanks(mark + 1), "req");
    p->vararg = starts(skip_blanks(mark + 1), "vararg");
  } else if (mark) {
    p->value = unquote(trim(mark + 1, strlen(mark + 1)));
  }
}

static size_t define_macro(struct expander *x, const struct raws *in, size_t i) {
  struct macro *m = xalloc(sizeof *m);
  memset(m, 0, sizeof *m);
  const char *s = skip_blanks(in->at[i].text + strlen(".macro"));
  char *name = first_word(s);
  s = skip_blanks(s + strlen(name));
  if (*s == ',')
    s++;
  for (char *arg; (arg = next_argument(&s));) {
    if (m->count == MAX_PARAMS)
      refuse(in->at[i].pos, "macro `%s` has too many parameters", name);
    parse_param(&m->params[m->count++], arg);
  }
  map_set(&x->macros, name, m);
  return collect(in, i, &m->body);
}

/* ---- invocations --------------------------------------------------------------------- */

static int keyword(const struct macro *m, const char *arg) {
  const char *eq = strchr(arg, '=');
  for (int i = 0; eq && i < m->count; i++)
    if (strlen(m->params[i].name) == (size_t)(eq - arg) &&
        strncmp(m->params[i].name, arg, (size_t)(eq - arg)) == 0)
      return i;
  return -1;
}

static void invoke(struct expander *x, const struct macro *m, const char *args,
                   const struct raw *site) {
  struct param params[MAX_PARAMS];
  int next = 0;
  memcpy(params, m->params, sizeof params);
  for (const char *s = args; *(s = skip_blanks(s));) {
    if (next < m->count && params[next].vararg) {
      params[next++].value = trim(s, strlen(s));
      break;
    }
    char *arg = next_argument(&s);
    int k = keyword(m, arg);
    if (k >= 0)
      params[k].value = unquote(strchr(arg, '=') + 1);
    else if (next == m->count)
      refuse(site->pos, "too many arguments in `%s`", site->text);
    else if (*arg)
      params[next++].value = unquote(arg);
    else
      next++;
  }
  for (int i = 0; i < m->count; i++)
    if (params[i].required && !params[i].value)
      refuse(site->pos, "argument `%s` is missing in `%s`", params[i].name, site->text);
  expand_body(x, &m->body, params, m->count, site);
  x->exit = false;
}

static size_t repeat(struct expander *x, const struct raws *in, size_t i) {
  struct raws body = {0};
  const struct raw *site = &in->at[i];
  size_t end = collect(in, i, &body);
  char *word = first_word(site->text);
  const char *args = skip_blanks(site->text + strlen(word));
  long long n;
  if (streq(word, ".rept")) {
    if (!eval(args, &x->symbols, &n))
      refuse(site->pos, "the count in `%s` is not a constant", site->text);
    for (; n > 0; n--)
      expand_body(x, &body, NULL, 0, site);
    return end;
  }
  struct param p = {.name = next_argument(&args)};
  if (!p.name)
    refuse(site->pos, "`%s` names no symbol", site->text);
  if (streq(word, ".irpc")) {
    for (const char *c = unquote(trim(args, strlen(args))); *c; c++) {
      p.value = xstrndup(c, 1);
      expand_body(x, &body, &p, 1, site);
    }
  } else {
    for (char *arg; (arg = next_argument(&args));) {
      p.value = unquote(arg);
      expand_body(x, &body, &p, 1, site);
    }
  }
  return end;
}

static void include(struct expander *x, const struct raw *site) {
  const char *args = skip_blanks(site->text + strlen(".include"));
  char *name = unquote(trim(args, strlen(args)));
  struct raws list = {0};
  FILE *f = fopen(name, "r");
  for (const char *const *dir = x->dirs; !f && *dir; dir++) {
    char *path = fmt("%s/%s", *dir, name);
    if ((f = fopen(path, "r")))
      name = path;
  }
  if (!f)
    refuse(site->pos, "cannot open %s", name);
  fclose(f);
  read_source(&list, name);
  for (size_t i = 0; i < list.count; i++)
    list.at[i].row = site->row;
  run(x, &list);
}

/* ---- conditions ---------------------------------------------------------------------- */

static bool strings_equal(const char *args) {
  size_t n = argument_length(args, false);
  char *a = unquote(trim(args, n));
  const char *rest = args[n] ? args + n + 1 : args + n;
  return streq(a, unquote(trim(rest, strlen(rest))));
}

static bool test(struct expander *x, const struct raw *site, const char *word, const char *args) {
  long long v = 0;
  if (streq(word, ".ifdef"))
    return map_get(&x->symbols, args) != NULL;
  if (streq(word, ".ifndef") || streq(word, ".ifnotdef"))
    return map_get(&x->symbols, args) == NULL;
  if (streq(word, ".ifc") || streq(word, ".ifeqs"))
    return strings_equal(args);
  if (streq(word, ".ifnc") || streq(word, ".ifnes"))
    return !strings_equal(args);
  if (streq(word, ".ifb"))
    return !*args;
  if (streq(word, ".ifnb"))
    return *args;
  if (!eval(args, &x->symbols, &v))
    refuse(site->pos, "`%s` does not depend on constants alone", site->text);
  if (streq(word, ".if") || streq(word, ".ifne") || streq(word, ".elseif"))
    return v != 0;
  if (streq(word, ".ifeq"))
    return v == 0;
  if (streq(word, ".ifgt"))
    return v > 0;
  if (streq(word, ".ifge"))
    return v >= 0;
  if (streq(word, ".iflt"))
    return v < 0;
  if (streq(word, ".ifle"))
    return v <= 0;
  refuse(site->pos, "unknown condition `%s`", word);
}

/* Handles .if and its relatives; false if the statement is something else. */
static bool condition(struct expander *x, struct cond *stack, int *depth, const struct raw *raw,
                      const char *word) {
  const char *args = skip_blanks(raw->text + strlen(word));
  struct cond *c = &stack[*depth];
  if (starts(word, ".if")) {
    if (*depth + 1 == MAX_DEPTH)
      refuse(raw->pos, "conditions are nested too deeply");
    bool yes = c->active && test(x, raw, word, args);
    stack[++*depth] = (struct cond){yes, yes || !c->active};
  } else if (streq(word, ".elseif") || streq(word, ".else") || streq(word, ".endif")) {
    if (!*depth)
      refuse(raw->pos, "`%s` without .if", word);
    if (streq(word, ".endif")) {
      --*depth;
    } else {
      c->active = !c->taken && (streq(word, ".else") || test(x, raw, word, args));
      c->taken |= c->active;
    }
  } else {
    return false;
  }
  return true;
}

/* ---- statements ---------------------------------------------------------------------- */

static void define_symbol(struct expander *x, const char *name, const char *expr) {
  long long v, *value = &not_absolute;
  if (eval(expr, &x->symbols, &v)) {
    value = xalloc(sizeof *value);
    *value = v;
  }
  map_set(&x->symbols, name, value);
}

/* Records what later conditions may ask for: assignments and labels. */
static void note_symbols(struct expander *x, const char *text) {
  static const char *const sets[] = {".set", ".equ", ".equiv", NULL};
  char *word = first_word(text);
  const char *rest = skip_blanks(text + strlen(word));
  if (is_one_of(word, sets)) {
    char *name = first_word(rest);
    const char *comma = strchr(rest, ',');
    if (comma)
      define_symbol(x, name, comma + 1);
  } else if (*word && *rest == '=') {
    define_symbol(x, word, rest + 1 + (rest[1] == '='));
  } else if (*word && *rest == ':') {
    map_set(&x->symbols, word, &not_absolute);
  }
}

/* Passes labels in front of a macro's name through, and returns what follows them. */
static const char *pass_labels(struct expander *x, const struct raw *raw) {
  const char *s = raw->text;
  for (;;) {
    char *word = first_word(s);
    const char *after = skip_blanks(s + strlen(word));
    if (!*word || *after != ':')
      return s;
    map_set(&x->symbols, word, &not_absolute);
    raws_add(x->out, (struct raw){.text = fmt("%s:", word), .pos = raw->pos, .row = raw->row});
    s = skip_blanks(after + 1);
  }
}

/* One statement that is not skipped; returns the index of the last one it used up. */
static size_t statement(struct expander *x, const struct raws *in, size_t i, const char *word) {
  static const char *const loops[] = {".rept", ".irp", ".irpc", NULL};
  const struct raw *raw = &in->at[i];
  if (streq(word, ".macro"))
    return define_macro(x, in, i);
  if (is_one_of(word, loops))
    return repeat(x, in, i);
  if (streq(word, ".include")) {
    include(x, raw);
  } else if (streq(word, ".altmacro")) {
    refuse(raw->pos, ".altmacro is not supported");
  } else if (streq(word, ".purgem")) {
    map_set(&x->macros, first_word(skip_blanks(raw->text + strlen(word))), NULL);
  } else if (streq(word, ".exitm")) {
    x->exit = true;
  } else {
    const char *rest = raw->text;
    const char *colon = strchr(rest, ':');
    if (colon && x->macros.used)
      rest = pass_labels(x, raw);
    char *name = first_word(rest);
    const struct macro *m = map_get(&x->macros, name);
    if (m) {
      invoke(x, m, rest + strlen(name), raw);
    } else if (*rest) {
      note_symbols(x, rest);
      raws_add(x->out, (struct raw){.text = (char *)rest, .pos = raw->pos, .row = raw->row});
    }
  }
  return i;
}

static void run(struct expander *x, const struct raws *in) {
  struct cond stack[MAX_DEPTH] = {{true, true}};
  int depth = 0;
  for (size_t i = 0; i < in->count && !x->exit; i++) {
    const struct raw *raw = &in->at[i];
    if (raw->marker) {
      raws_add(x->out, *raw);
      continue;
    }
    char *word = *raw->text == '.' ? first_word(raw->text) : "";
    if (!condition(x, stack, &depth, raw, word) && stack[depth].active)
      i = statement(x, in, i, word);
  }
  if (depth && !x->exit)
    refuse(in->at[in->count - 1].pos, "a condition is never closed");
}

void expand_macros(const struct raws *in, struct raws *out, const char *const *dirs) {
  struct expander x = {.out = out, .dirs = dirs};
  run(&x, in);
}
