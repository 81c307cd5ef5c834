/* SPDX-License-Identifier: MIT */
/* gcc: a specs file brings in our C library, and -B our assembler and linker. */
#include "cc.h"

/*
 * Overridable. An indirect jump is masked, aligns each of its targets to a bundle and is often
 * mispredicted for it: comparing is faster than a jump table for switches of some 30 cases.
 */
static const char *const preferred[] = {"--param=case-values-threshold=20", NULL};

static const char *const imposed[] = {"-ffixed-r11", "-ffixed-r15", "-mindirect-branch-register",
                                      "-gno-variable-location-views", NULL};

static void begin(struct args *out, const struct install *where) {
  args_add(out, join(join("-specs=", where->libexec), "ufork.specs"));
  args_add(out, join("-B", where->libexec));
  args_add_all(out, preferred);
}

const struct compiler gcc = {begin, imposed};
