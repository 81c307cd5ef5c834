// SPDX-License-Identifier: MIT
/* Ids that nobody can guess. */
#ifndef UFAAS_RANDOM_H
#define UFAAS_RANDOM_H

#include <stddef.h>

/* Random bytes from the system. */
void random_bytes(void *out, size_t size);

/* A UUID of version 4 in its text form, 36 characters and NUL. */
void random_uuid(char *out);

#endif
