/* SPDX-License-Identifier: MIT */
/*
 * The registers of a user thread while it is in the kernel: filled by the platform's gate and
 * trap entry, consumed by its return path. Assembly knows the offsets (REGS_*).
 *
 * System calls: number in rax, arguments in rdi, rsi, rdx, r10, r8, r9, result to rax. rip is
 * already masked to a bundle. rsp is absolute (region base + offset). r15 is not here: it is
 * the thread's TCB, always. r11 and rcx are dead across a system call, but not across a trap.
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
