/* SPDX-License-Identifier: MIT */
/* A second checker, slow and written to be different: Zydis decodes, and its own description of
   operands decides what an instruction reads and writes. Tests only. */
#ifndef UF_VERIFIER_REFERENCE_H
#define UF_VERIFIER_REFERENCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Whether the text breaks no rule that matters for safety. May accept more than the verifier. */
bool reference_accepts(const uint8_t *code, size_t size);

/* Why the last text was refused, and where. */
extern const char *reference_reason;
extern size_t reference_offset;

#endif
