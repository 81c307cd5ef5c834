/* SPDX-License-Identifier: MIT */
/* --trace: a line per system call, in the manner of strace. */
#ifndef UFORK_KERNEL_TRACE_H
#define UFORK_KERNEL_TRACE_H

#include "kernel/regs.h"

/* "EINVAL" for 22; "E?" for numbers without a name. */
const char *errno_name(i64 err);

#define TRACE_ARGS 256
/* The call with its arguments, as text: taken before the call, because it may change them. */
void trace_call(const struct uregs *r, char *line, size_t size);
/* Prints the line. */
void trace_result(const char *line, i64 ret);
/* Prints the line of a call that does not return. */
void trace_no_return(const char *line);
/* Says once per number that there is no such call. */
void trace_unknown(u64 nr);

#endif
