/* SPDX-License-Identifier: MIT */
/* What a gate does with the registers of a system call. For assembly. */
#ifndef UFORK_X86_ASM_ARGS_H
#define UFORK_X86_ASM_ARGS_H

/* clang-format off */

/* Arguments, and the address after the call, to the uregs at %rsp. */
	.macro	save_args
	mov	%rdx, REGS_RDX(%rsp)
	mov	%rsi, REGS_RSI(%rsp)
	mov	%rdi, REGS_RDI(%rsp)
	mov	%r8, REGS_R8(%rsp)
	mov	%r9, REGS_R9(%rsp)
	mov	%r10, REGS_R10(%rsp)
	mov	%r11, REGS_RIP(%rsp)
	.endm

#endif
