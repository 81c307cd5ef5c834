// SPDX-License-Identifier: MIT
/* How much memory a process has. */
#ifndef UFAAS_RESIDENT_H
#define UFAAS_RESIDENT_H

#include <stdint.h>
#include <sys/types.h>

/* Resident bytes, 0 if that cannot be known. */
uint64_t resident_bytes(pid_t pid);

#endif
