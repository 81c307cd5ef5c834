/* SPDX-License-Identifier: MIT */
/* What the files of this platform share besides vCPUs (cpu.h), regions (region.h), I/O (hostio.h).
 */
#ifndef UFORK_HOSTED_HOSTED_H
#define UFORK_HOSTED_HOSTED_H

#include "kernel/plat.h"

/* pages.c */
int pages_init(void);
u64 pages_bytes_used(void);

/* text.c: reserves the window; -EEXIST when something of the host lies in it. */
int text_init(void);

/* clock.c: whether the host itself takes its time from the CPU's time-stamp counter. */
void clock_init(bool host_uses_tsc);

/* hostio.c */
int hostio_init(unsigned ncpus);

/* life.c */
void mem_set_limit(u64 bytes);
/* Would another `more` bytes of user memory be more than --memory allows? Counts them as touched.
 */
bool mem_over_limit(u64 more);
/* plat_panic of a context: backtrace from its program counter and frame pointer. */
_Noreturn void life_panic_at(const char *why, u64 pc, u64 frame);

/* stdio.c: notes that whoever started us had closed a standard stream; its number is taken by
   something harmless. Before the kernel runs. */
void stdio_was_closed(int fd);
/* Remembers the terminal's settings, to restore them at the end. */
void stdio_init(void);
void stdio_restore(void);

#endif
