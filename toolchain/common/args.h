/* SPDX-License-Identifier: MIT */
/* Growable argument vectors and @response files, as gcc's tools understand them. */
#ifndef UFORK_ARGS_H
#define UFORK_ARGS_H

/* A NULL-terminated vector of strings; start with {0}. The strings are not copied. */
struct args {
  const char **at;
  int count, cap;
};

void args_add(struct args *a, const char *arg);

/* Adds the strings of a list that ends with NULL. */
void args_add_all(struct args *a, const char *const *list);

/*
 * Adds argv[1..] to `a`, replacing @FILE by the words of FILE (white space separates, quotes and
 * backslashes protect, nesting allowed). As in gcc, an @FILE that cannot be read stays as it is.
 */
void args_expand(struct args *a, int argc, char *const *argv);

/* The folder DEPTH levels above the running program: 1 is where it lives. Ends the process if
 * unknown. */
char *program_folder(int depth);

#endif
