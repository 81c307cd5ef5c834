/* SPDX-License-Identifier: MIT */
#include "args.h"

#include <ctype.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX_NESTING 16

static void *check(void *p) {
  if (!p) {
    fputs("ufork: out of memory\n", stderr);
    exit(1);
  }
  return p;
}

void args_add(struct args *a, const char *arg) {
  if (a->count + 1 >= a->cap) {
    a->cap = a->cap ? 2 * a->cap : 64;
    a->at = check(realloc(a->at, (size_t)a->cap * sizeof *a->at));
  }
  a->at[a->count++] = arg;
  a->at[a->count] = NULL;
}

void args_add_all(struct args *a, const char *const *list) {
  for (; *list; list++)
    args_add(a, *list);
}

static char *slurp(const char *file) {
  FILE *f = fopen(file, "r");
  size_t n = 0, cap = 4096, got;
  if (!f)
    return NULL;
  char *s = check(malloc(cap));
  while ((got = fread(s + n, 1, cap - n - 1, f)) > 0) {
    n += got;
    if (n + 1 == cap)
      s = check(realloc(s, cap *= 2));
  }
  s[n] = 0;
  fclose(f);
  return s;
}

/* Copies the word at *s without its quoting; advances *s behind it. */
static char *take_word(const char **s) {
  char *word = check(malloc(strlen(*s) + 1)), *to = word, quote = 0;
  const char *p = *s;
  for (; *p && (quote || !isspace((unsigned char)*p)); p++) {
    if (*p == '\\' && p[1])
      *to++ = *++p;
    else if (quote ? *p == quote : *p == '"' || *p == '\'')
      quote = quote ? 0 : *p;
    else
      *to++ = *p;
  }
  *to = 0;
  *s = p;
  return word;
}

static void expand(struct args *a, const char *arg, int depth) {
  char *text = arg[0] == '@' && depth < MAX_NESTING ? slurp(arg + 1) : NULL;
  if (!text) {
    args_add(a, arg);
    return;
  }
  for (const char *s = text;;) {
    while (isspace((unsigned char)*s))
      s++;
    if (!*s)
      return;
    expand(a, take_word(&s), depth + 1);
  }
}

void args_expand(struct args *a, int argc, char *const *argv) {
  for (int i = 1; i < argc; i++)
    expand(a, argv[i], 0);
}

char *program_folder(int depth) {
  char path[PATH_MAX];
  ssize_t n = readlink("/proc/self/exe", path, sizeof path - 1);
  if (n <= 0) {
    fputs("ufork: cannot read /proc/self/exe\n", stderr);
    exit(1);
  }
  path[n] = 0;
  while (depth--) {
    char *slash = strrchr(path, '/');
    if (slash)
      *slash = 0;
  }
  return check(strdup(path));
}
