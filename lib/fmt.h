/* SPDX-License-Identifier: MIT */
/* Formatted output without libc: %d %i %u %x %o %c %s %p %% with h, l, ll, z, width, precision, 0,
 * -. */
#ifndef UFORK_LIB_FMT_H
#define UFORK_LIB_FMT_H

#include <stdarg.h>
#include <stddef.h>

/* As snprintf and vsnprintf: never write past size, terminate when size > 0, return the full
 * length. */
int fmt(char *dst, size_t size, const char *format, ...) __attribute__((format(printf, 3, 4)));
int vfmt(char *dst, size_t size, const char *format, va_list ap);

#endif
