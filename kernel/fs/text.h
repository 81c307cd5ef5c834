/* SPDX-License-Identifier: MIT */
/* A growing text: what a generated file contains. */
#ifndef UFORK_KERNEL_TEXT_H
#define UFORK_KERNEL_TEXT_H

#include "lib/types.h"

struct text {
  char *buf;
  size_t len, cap;
  bool failed; /* out of memory: what was appended since is missing */
};

void text_add(struct text *t, const char *s, size_t n);
void text_printf(struct text *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
void text_free(struct text *t);

#endif
