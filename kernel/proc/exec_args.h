/* SPDX-License-Identifier: MIT */
/* Building the strings of an exec. */
#ifndef UFORK_KERNEL_EXEC_ARGS_H
#define UFORK_KERNEL_EXEC_ARGS_H

#include "kernel/mm/image.h"

/* A growing exec_strings: arguments first, then the environment. */
struct exec_builder {
  struct exec_strings str;
  size_t cap;   /* bytes allocated */
  size_t limit; /* most that strings and pointers may take: -E2BIG beyond */
};

void exec_builder_init(struct exec_builder *b, size_t limit);
void exec_builder_free(struct exec_builder *b);
/* Appends a kernel string. -E2BIG, -ENOMEM. */
int exec_add(struct exec_builder *b, const char *s, unsigned *count);
/* Appends the strings of a NULL-terminated user array (0: none). Also -EFAULT. */
int exec_add_user(struct exec_builder *b, u64 array, unsigned *count);
/* Puts `prefix` (count strings back to back, size bytes) in place of the first argument. */
int exec_replace_first(struct exec_builder *b, const char *prefix, size_t size, unsigned count);

#endif
