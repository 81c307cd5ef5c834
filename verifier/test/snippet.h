/* SPDX-License-Identifier: MIT */
/* The tables that refuse.S and accept.S assemble. */
#ifndef UF_VERIFIER_SNIPPET_H
#define UF_VERIFIER_SNIPPET_H

#include "../verifier.h"

struct snippet {
  const uint8_t *start;
  const uint8_t *end;
  const char *rule;
  const char *source;
  uint64_t exact; /* else at least one int3 follows, up to the end of a bundle */
};

extern const struct snippet refuse_cases[], refuse_end[], accept_cases[], accept_end[];

/* Bytes of text that the snippet makes, with its int3. */
static inline uint32_t snippet_size(const struct snippet *s) {
  uint32_t size = (uint32_t)(s->end - s->start);
  return s->exact ? size : (size + 32) / 32 * 32;
}

#endif
