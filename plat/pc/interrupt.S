/* SPDX-License-Identifier: MIT */
/*
 * Exceptions and interrupts, all on stacks of the CPU's own (trap.c says why). Each vector's stub
 * pushes what the CPU did not, so that the C handler gets a struct trap_frame, which it may change:
 * the interrupted context continues, or the thread's kernel stack does.
 */
	.text

	.altmacro
	.macro stub vector
	.balign 16
	.if (\vector == 8) || (\vector >= 10 && \vector <= 14) || (\vector == 17) || (\vector == 21)
	.else
	push	$0
	.endif
	push	$\vector
	.if \vector < 32
	jmp	exception_entry
	.else
	jmp	interrupt_entry
	.endif
	.endm

	.balign 16
	.globl	pc_stubs
pc_stubs:
	.set	i, 0
	.rept	256
	stub	%i
	.set	i, i + 1
	.endr

	.macro save_all
	push	%rax
	push	%rbx
	push	%rcx
	push	%rdx
	push	%rsi
	push	%rdi
	push	%rbp
	push	%r8
	push	%r9
	push	%r10
	push	%r11
	push	%r12
	push	%r13
	push	%r14
	push	%r15
	cld
	mov	%rsp, %rdi
	.endm

	.type	exception_entry, @function
exception_entry:
	save_all
	call	pc_exception
	jmp	restore_all
	.size	exception_entry, . - exception_entry

	.type	interrupt_entry, @function
interrupt_entry:
	save_all
	call	pc_interrupt
restore_all:
	pop	%r15
	pop	%r14
	pop	%r13
	pop	%r12
	pop	%r11
	pop	%r10
	pop	%r9
	pop	%r8
	pop	%rbp
	pop	%rdi
	pop	%rsi
	pop	%rdx
	pop	%rcx
	pop	%rbx
	pop	%rax
	add	$16, %rsp
	iretq
	.size	interrupt_entry, . - interrupt_entry

	.section .note.GNU-stack, "", @progbits
