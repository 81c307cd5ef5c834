/* SPDX-License-Identifier: MIT */
/*
 * The registers of a user thread while it is in the kernel: filled by the platform's gate and
 * trap entry, consumed by its return path. Assembly knows the offsets (REGS_*).
 *
 * System calls: number in rax, arguments in rdi, rsi, rdx, r10, r8, r9, result to rax. rip is
 * already masked to a bundle. rsp is absolute (region base + offset). r15 is not here: it is
 * the thread's TCB, always. r11 and rcx are dead across a system call, but not across a trap.
 * In a system call rax, rbx, rcx, rbp, r11 to r14 and rflags are filled only where the core is
 * asked to syscall_leave and for handlers that are WHOLE in the table; orig_rax has the number.
 */
#ifndef UFORK_KERNEL_REGS_H
#define UFORK_KERNEL_REGS_H

#define REGS_RAX 0
#define REGS_RBX 8
#define REGS_RCX 16
#define REGS_RDX 24
#define REGS_RSI 32
#define REGS_RDI 40
#define REGS_RBP 48
#define REGS_RSP 56
#define REGS_R8 64
#define REGS_R9 72
#define REGS_R10 80
#define REGS_R11 88
#define REGS_R12 96
#define REGS_R13 104
#define REGS_R14 112
#define REGS_RIP 120
#define REGS_RFLAGS 128
#define REGS_SIZE 144

/*
 * What the gate knows of syscall_table (kernel/syscall/entry.h): slots in each of its columns (a
 * power of two), bytes to the second and third, the slot for numbers that are not in it and the one
 * for all calls of a traced instance.
 */
#define SYSCALL_SLOTS 512
#define SYSCALL_HANDLERS (SYSCALL_SLOTS * 8)
#define SYSCALL_WHOLE (SYSCALL_SLOTS * 16)
#define SYSCALL_TRACED (SYSCALL_SLOTS - 2)
#define SYSCALL_NONE (SYSCALL_SLOTS - 1)

/* Results from -FIRST to -LAST never reach user code: the interrupted calls of sched.h, and */
#define SYSCALL_SPECIAL_FIRST 512
#define SYSCALL_SPECIAL_LAST 517
#define EREPLACED 517 /* all of struct uregs has been replaced: exec, sigreturn */

/* Flags user code may have set when it is resumed: arithmetic flags; IF and bit 1 are forced. */
#define RFLAGS_USER 0x00000cd5UL /* CF PF AF ZF SF OF; (DF, 0x400, is always cleared) */
#define RFLAGS_DF 0x400UL
#define RFLAGS_FIXED 0x202UL

#ifndef __ASSEMBLER__
#include "lib/types.h"

struct uregs {
  u64 rax, rbx, rcx, rdx, rsi, rdi, rbp, rsp;
  u64 r8, r9, r10, r11, r12, r13, r14;
  u64 rip, rflags, orig_rax; /* orig_rax: number of the system call, or -1 in a trap */
};

_Static_assert(sizeof(struct uregs) == REGS_SIZE, "assembly offsets");
_Static_assert(offsetof(struct uregs, rip) == REGS_RIP, "assembly offsets");
#endif
#endif
