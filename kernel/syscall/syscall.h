/* SPDX-License-Identifier: MIT */
/*
 * System calls. kernel/syscall/table.def lists them all: number, name, argument kinds for --trace,
 * how far it is supported and a note; the code, the tracer and doc/syscalls.md read that table.
 * A handler gets the user's registers (arguments rdi, rsi, rdx, r10, r8, r9) and returns the result
 * or -errno. It validates, then calls its subsystem. Handlers live in the file of their subsystem.
 */
#ifndef UFORK_KERNEL_SYSCALL_H
#define UFORK_KERNEL_SYSCALL_H

#include "kernel/errno.h"
#include "kernel/regs.h"

#define LEAF_CALL KEEPS_REGISTERS /* as table.def demands of a leaf call */

#define SYS(nr, name, args, level, note) i64 sys_##name(struct uregs *r);
#define LEAF(nr, name, args, level, note) LEAF_CALL i64 sys_##name(struct uregs *r);
#include "kernel/syscall/table.def"

#endif
