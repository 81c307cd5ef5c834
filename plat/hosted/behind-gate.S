/* SPDX-License-Identifier: MIT */
/* The gate of a thread that holds something (behind.h): behind_before_call, then the usual one. */
#include "include/ufork/abi.h"
#include "kernel/regs.h"
#include "plat/x86/asm_args.h"
#include "plat/x86/asm_offsets.h"

	.text
	.balign 64
	.globl	uf_gate_behind
	.type	uf_gate_behind, @function
uf_gate_behind:
	mov	%rsp, UF_UREGS+REGS_RSP(%r15)
	lea	UF_UREGS(%r15), %rsp
	and	$UF_CODE_MASK, %r11d
	mov	%rax, UF_ORIG_RAX(%rsp)
	save_args
	mov	%rsp, %rdi
	call	behind_before_call
	mov	UF_ORIG_RAX(%rsp), %rax
	mov	REGS_RDX(%rsp), %rdx
	mov	REGS_RSI(%rsp), %rsi
	mov	REGS_RDI(%rsp), %rdi
	mov	REGS_R8(%rsp), %r8
	mov	REGS_R9(%rsp), %r9
	mov	REGS_R10(%rsp), %r10
	mov	REGS_RIP(%rsp), %r11
	mov	REGS_RSP(%rsp), %rsp
	jmp	uf_gate
	.size	uf_gate_behind, . - uf_gate_behind

	.section .note.GNU-stack,"",@progbits
