/* SPDX-License-Identifier: MIT */
#ifndef UFORK_PC_TEST_ENTROPY_H
#define UFORK_PC_TEST_ENTROPY_H

#include "lib/types.h"

extern u8 entropy_added[256];
extern size_t entropy_n;
extern bool entropy_wanted;

#endif
