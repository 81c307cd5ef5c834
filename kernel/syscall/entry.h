/* SPDX-License-Identifier: MIT */
/* The kernel's edge: what happens before user code runs again. */
#ifndef UFORK_KERNEL_ENTRY_H
#define UFORK_KERNEL_ENTRY_H

#include "kernel/regs.h"
#include "lib/types.h"

/* Does all work that waits for the running thread: reschedules, parks, delivers signals, ends. True
   if r changed beyond rax. */
bool user_return(struct uregs *r);

/* Name and argument kinds of a system call; NULL: there is none with this number. */
struct syscall_info {
  const char *name, *kinds;
};
const struct syscall_info *syscall_info(u64 nr);

#endif
