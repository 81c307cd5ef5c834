/* SPDX-License-Identifier: MIT */
/*
 * ufork-cc: a stock compiler with our assembler, linker and C library. It adds the flags of
 * doc/abi.md, section 10, takes away those that contradict them, and refuses what cannot be
 * sandboxed.
 */
#ifndef UFORK_CC_H
#define UFORK_CC_H

#include "../common/args.h"

#include <stdbool.h>
#include <stddef.h>

/* Where the toolchain is installed. */
struct install {
  const char *libexec; /* with a slash at its end */
  const char *sysroot;
};

/* What is particular to one compiler. */
struct compiler {
  /* Adds options that must precede the user's: where things are, and defaults to override. */
  void (*begin)(struct args *out, const struct install *where);
  /* Options that follow the user's, ended by NULL, beside those that both compilers share. */
  const char *const *imposed;
};

extern const struct compiler gcc, clang;

struct rule {
  const char *pattern; /* a whole option, or its beginning if it ends with * */
  const char *reason;  /* why it is refused; NULL: dropped silently */
};

/* The rule for an option of the user's, or NULL: it is passed on. */
const struct rule *find_rule(const char *arg);

/* Whether the next argument is the option's value, which must not be taken for an option. */
bool takes_value(const char *arg);

/* a and b in memory that is never freed. */
char *join(const char *a, const char *b);

/* Reports `ufork-cc: error: WHAT: REASON` and ends the process with status 1. */
void refuse(const char *what, const char *reason) __attribute__((noreturn));

#endif
