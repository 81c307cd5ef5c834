/* SPDX-License-Identifier: MIT */
/* What lwIP takes from <string.h>. */
#ifndef UFORK_PC_LWIP_STRING_H
#define UFORK_PC_LWIP_STRING_H

#include "lib/string.h"

#endif
