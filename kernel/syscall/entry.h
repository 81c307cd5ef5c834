/* SPDX-License-Identifier: MIT */
/* The kernel's edge: what happens before user code runs again. */
#ifndef UFORK_KERNEL_ENTRY_H
#define UFORK_KERNEL_ENTRY_H

#include "kernel/syscall/syscall.h"
#include "lib/types.h"

/* Does all work that waits for the running thread: reschedules, parks, delivers signals, ends. May
   change r. */
void user_return(struct uregs *r);

/*
 * What the gate calls for a number. The first column has the leaf calls, elsewhere plat_gate_full,
 * which calls the second: the handler, or plat_gate_whole, which calls the third.
 */
union syscall_slot {
  const char *gate; /* a label of the gate's */
  i64 (*handler)(struct uregs *r);
  LEAF_CALL i64 (*leaf)(struct uregs *r); /* the argument is not valid */
};
struct syscall_table {
  union syscall_slot leaf[SYSCALL_SLOTS], handler[SYSCALL_SLOTS], whole[SYSCALL_SLOTS];
};
extern const struct syscall_table syscall_table;

/* Name and argument kinds of a system call; NULL: there is none with this number. */
struct syscall_info {
  const char *name, *kinds;
};
const struct syscall_info *syscall_info(u64 nr);

#endif
