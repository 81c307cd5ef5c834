/* SPDX-License-Identifier: MIT */
/*
 * The first instructions of every CPU but the first. A start-up interrupt lets it run the copy of
 * ap_trampoline at TRAMPOLINE_PHYS in real mode; from there it goes straight to long mode on
 * boot.S's page tables, which still map low addresses at themselves, then to the final one.
 */
#include "plat/pc/layout.h"
#include "plat/pc/long_mode.inc"
#include "plat/x86/asm_offsets.h"
#include "kernel/regs.h"

	.section .rodata
	.globl	ap_trampoline, ap_trampoline_end
	.code16
ap_trampoline:
	cli
	cld
	mov	%cs, %ax
	mov	%ax, %ds
	lgdtl	(ap_gdt_ptr - ap_trampoline)
	enter_long_mode
	ljmpl	$SEL_CODE, $(TRAMPOLINE_PHYS + ap_long - ap_trampoline)

	.code64
ap_long:
	load_data_segments
	movabs	$ap_high, %rax
	jmp	*%rax

	.balign	4
ap_gdt_ptr:
	.word	23
	.long	PHYS(boot_gdt)
ap_trampoline_end:

	.text
	.type	ap_high, @function
ap_high:
	mov	ap_root(%rip), %rax
	mov	%rax, %cr3
	/* Whoever comes takes the stack; one that comes too late finds none and is never heard of again. */
	xor	%edi, %edi
	xchg	%rdi, ap_stack(%rip)
	test	%rdi, %rdi
	jz	1f
	lea	UF_UREGS(%rdi), %rsp
	xor	%ebp, %ebp
	call	smp_ap_main
1:	cli
	hlt
	jmp	1b
	.size	ap_high, . - ap_high

	.bss
	.globl	ap_root, ap_stack
	.balign	8
ap_root:
	.skip	8
ap_stack:
	.skip	8

	.section .note.GNU-stack, "", @progbits
