/* SPDX-License-Identifier: MIT */
/*
 * plat_random of this platform: a generator (ChaCha20 whose key is replaced after every use, so
 * that earlier output cannot be computed from a later state) fed by whatever entropy there is.
 */
#ifndef UFORK_PC_RANDOM_H
#define UFORK_PC_RANDOM_H

#include "lib/types.h"

/* Seeds from the CPU (RDSEED, RDRAND where present, the time stamp counter always). Boot. */
void random_init(void);
/* Mixes n bytes that nobody can predict into the state. Without any plat_random panics. Any
 * context.
 */
void random_add(const void *bytes, size_t n);
/* True once in a while: fresh entropy is welcome. Any context. */
bool random_wants_more(void);

#endif
