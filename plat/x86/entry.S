/* SPDX-License-Identifier: MIT */
/*
 * The ways into the kernel and out of it: gate, trap trampolines, stack switch, copies that may
 * fault; the same on every platform. What interrupts a thread (trap.c: a host signal, an interrupt)
 * knows the labels:
 *  - interrupted in [uf_exit_X, uf_exit_X_end), X one of leaf, fast and full, a thread starts that
 *    sequence anew, so that work that arrived meanwhile is seen (uf_restart_exit);
 *  - a fault in [uf_copy_start, uf_copy_end) makes the copy return -EFAULT and the address.
 */
#include "include/ufork/abi.h"
#include "kernel/regs.h"
#include "plat/x86/asm_args.h"
#include "plat/x86/asm_offsets.h"

	.text

/*
 * The gate: %r15 thread, %r11 return address, %rsp the user's. Vector registers stay live. Every
 * call goes through syscall_table (kernel/syscall/dispatch.c), whose first column has the leaf
 * calls, which change no register but %rax, and uf_gate_full for the others.
 */
	.balign 64
	.globl	uf_gate
	.type	uf_gate, @function
uf_gate:
	mov	%rsp, UF_UREGS+REGS_RSP(%r15)
	lea	UF_UREGS(%r15), %rsp
	and	$UF_CODE_MASK, %r11d
	cmp	$SYSCALL_SLOTS, %rax
	jae	uf_gate_unknown
	and	$(SYSCALL_SLOTS - 1), %eax	/* a mispredicted check reaches nothing either */
	lea	syscall_table(%rip), %rcx
	call	*(%rcx,%rax,8)
	incq	UF_NSYSCALLS(%r15)
	xor	%ecx, %ecx

/* Back from a leaf call: all registers are the user's but %rsp. */
	.globl	uf_exit_leaf
uf_exit_leaf:
	mov	UF_UREGS+REGS_RSP(%r15), %rsp
	testl	$UF_WORK_MASK, UF_WORK(%r15)
	jnz	uf_leave_leaf
	jmp	*%r11
	.globl	uf_exit_leaf_end
uf_exit_leaf_end:

/* The other calls: %rax the slot in the table, %rcx the table. The registers that the C code keeps
   are saved only when they are needed (plat_gate_whole, uf_leave). */
	.globl	plat_gate_full
plat_gate_full:
	lea	UF_UREGS(%r15), %rsp	/* drops the return address */
	mov	%rax, UF_ORIG_RAX(%rsp)
uf_gate_save:
	save_args
	mov	%rsp, %rdi
	call	*SYSCALL_HANDLERS(%rcx,%rax,8)
	incq	UF_NSYSCALLS(%r15)
	cmp	$-SYSCALL_SPECIAL_LAST, %rax
	jae	uf_failed

/* Back to the instruction after the call: the result and the callee-saved registers are there. */
	.globl	uf_exit_fast
uf_exit_fast:
	testl	$UF_WORK_MASK, UF_WORK(%r15)
	jnz	uf_leave
	mov	UF_UREGS+REGS_RIP(%r15), %r11
	mov	UF_UREGS+REGS_RDX(%r15), %rdx
	mov	UF_UREGS+REGS_RSI(%r15), %rsi
	mov	UF_UREGS+REGS_RDI(%r15), %rdi
	mov	UF_UREGS+REGS_R8(%r15), %r8
	mov	UF_UREGS+REGS_R9(%r15), %r9
	mov	UF_UREGS+REGS_R10(%r15), %r10
	xor	%ecx, %ecx
	mov	UF_UREGS+REGS_RSP(%r15), %rsp
	jmp	*%r11
	.globl	uf_exit_fast_end
uf_exit_fast_end:

/* Numbers beyond the table, and all calls of a traced instance. */
uf_gate_unknown:
	mov	%rax, UF_ORIG_RAX(%rsp)
	mov	$SYSCALL_NONE, %eax
	lea	syscall_table(%rip), %rcx
	jmp	uf_gate_save
	.globl	uf_gate_traced
uf_gate_traced:
	mov	%rsp, UF_UREGS+REGS_RSP(%r15)
	lea	UF_UREGS(%r15), %rsp
	and	$UF_CODE_MASK, %r11d
	mov	%rax, UF_ORIG_RAX(%rsp)
	mov	$SYSCALL_TRACED, %eax
	lea	syscall_table(%rip), %rcx
	jmp	uf_gate_save

/* \at: uregs, \rip: the address after the call. What the gate had left in the registers. */
	.macro	save_kept at, rip
	mov	%rbx, REGS_RBX(\at)
	mov	%rbp, REGS_RBP(\at)
	mov	%r12, REGS_R12(\at)
	mov	%r13, REGS_R13(\at)
	mov	%r14, REGS_R14(\at)
	movq	$0, REGS_RCX(\at)
	mov	\rip, REGS_R11(\at)
	movq	$RFLAGS_FIXED, REGS_RFLAGS(\at)
	.endm

/* A handler that wants all registers: fork. */
	.globl	plat_gate_whole
plat_gate_whole:
	save_kept %rdi, %r11
	jmp	*SYSCALL_WHOLE(%rcx,%rax,8)

/* %rax is -1 to -SYSCALL_SPECIAL_LAST: an ordinary error, or one that only the core understands. */
uf_failed:
	cmp	$-SYSCALL_SPECIAL_FIRST, %rax
	ja	uf_exit_fast
	cmp	$-EREPLACED, %rax
	je	uf_leave_replaced
uf_leave:
	lea	UF_UREGS(%r15), %rsp
	mov	%rax, REGS_RAX(%rsp)
	mov	REGS_RIP(%rsp), %r11
	save_kept %rsp, %r11
uf_leave_replaced:
	mov	%rsp, %rdi
	xor	%ebp, %ebp
	call	uf_user_leave
	jmp	uf_exit_full

uf_leave_leaf:
	lea	UF_UREGS(%r15), %rsp
	save_args
	movq	$-1, UF_ORIG_RAX(%rsp)
	jmp	uf_leave

/* Work came after uf_user_leave or a trap had looked. */
uf_exit_work:
	movq	$-1, UF_ORIG_RAX(%rsp)
	mov	%rsp, %rdi
	call	uf_user_work
	jmp	uf_exit_full

/* Trap trampolines: trap.c resumes the thread here, %rsp below its uregs, %rdi = uregs. */
	.globl	uf_trap_tick
uf_trap_tick:
	call	uf_user_work
	jmp	uf_exit_full

	.globl	uf_trap_fault
uf_trap_fault:
	call	uf_user_fault

/* Restores everything. The last jump goes through kernel memory, never through a user register. */
	.globl	uf_exit_full
uf_exit_full:
	lea	UF_UREGS(%r15), %rsp
	testl	$UF_WORK_MASK, UF_WORK(%r15)
	jnz	uf_exit_work
	mov	REGS_RIP(%rsp), %rax
	mov	%rax, UF_USER_RIP(%r15)
	pushq	REGS_RFLAGS(%rsp)
	popfq
	mov	REGS_RAX(%rsp), %rax
	mov	REGS_RBX(%rsp), %rbx
	mov	REGS_RCX(%rsp), %rcx
	mov	REGS_RDX(%rsp), %rdx
	mov	REGS_RSI(%rsp), %rsi
	mov	REGS_RDI(%rsp), %rdi
	mov	REGS_RBP(%rsp), %rbp
	mov	REGS_R8(%rsp), %r8
	mov	REGS_R9(%rsp), %r9
	mov	REGS_R10(%rsp), %r10
	mov	REGS_R11(%rsp), %r11
	mov	REGS_R12(%rsp), %r12
	mov	REGS_R13(%rsp), %r13
	mov	REGS_R14(%rsp), %r14
	mov	REGS_RSP(%rsp), %rsp
	jmp	*UF_USER_RIP(%r15)
	.globl	uf_exit_full_end
uf_exit_full_end:
	.size	uf_gate, . - uf_gate

/* _Noreturn void uf_user_enter(struct thread *t): resumes with t's uregs. */
	.globl	uf_user_enter
	.type	uf_user_enter, @function
uf_user_enter:
	mov	%rdi, %r15
	jmp	uf_exit_full
	.size	uf_user_enter, . - uf_user_enter

/* First switch to a thread (plat_thread_init): on its stack are the thread and its entry function. */
	.globl	uf_thread_start
	.type	uf_thread_start, @function
uf_thread_start:
	pop	%rbx
	pop	%r15
	mov	%rbx, %rdi
	xor	%ebp, %ebp
	call	uf_switch_finish
	mov	%rbx, %rdi
	call	*%r15
	ud2
	.size	uf_thread_start, . - uf_thread_start

/* _Noreturn void uf_run_on(void *stack_top, void (*f)(void *), void *arg) */
	.globl	uf_run_on
	.type	uf_run_on, @function
uf_run_on:
	mov	%rdi, %rsp
	mov	%rdx, %rdi
	xor	%ebp, %ebp
	call	*%rsi
	ud2
	.size	uf_run_on, . - uf_run_on

/*
 * Access to user memory. A fault resumes at uf_copy_fault with its address in %rdx. They keep no
 * state on the stack. Result: %rax 0 or -EFAULT, %rdx the address (struct copy_result).
 */
	.globl	uf_copy_start
uf_copy_start:

/*
 * struct copy_result uf_copy(void *dst, const void *src, size_t n)
 * Words go up in order, so that what lies before a fault, rounded down to a word, has been copied.
 * 4 and 8 bytes are one access. It changes these registers, %rax and %rcx (plat_copy_try).
 */
	.balign 32
	.globl	uf_copy
	.type	uf_copy, @function
uf_copy:
	cmp	$8, %rdx
	jne	1f
	mov	(%rsi), %rax
	mov	%rax, (%rdi)
	xor	%eax, %eax
	ret
1:	jb	4f
	cmp	$64, %rdx
	ja	3f
	cmp	$16, %edx
	jne	8f
	mov	(%rsi), %rax
	mov	8(%rsi), %rcx
	mov	%rax, (%rdi)
	mov	%rcx, 8(%rdi)
	xor	%eax, %eax
	ret
8:	mov	%edx, %ecx
2:	mov	(%rsi), %rax
	mov	%rax, (%rdi)
	add	$8, %rsi
	add	$8, %rdi
	sub	$8, %ecx
	cmp	$8, %ecx
	jae	2b
	test	%ecx, %ecx
	jz	7f
	mov	-8(%rsi,%rcx), %rax
	mov	%rax, -8(%rdi,%rcx)
7:	xor	%eax, %eax
	ret
4:	cmp	$4, %edx
	jne	5f
	mov	(%rsi), %eax
	mov	%eax, (%rdi)
	xor	%eax, %eax
	ret
5:	mov	%edx, %ecx
	jecxz	7b
6:	movzbl	(%rsi), %eax
	mov	%al, (%rdi)
	inc	%rsi
	inc	%rdi
	dec	%ecx
	jnz	6b
	xor	%eax, %eax
	ret
3:	mov	%rdx, %rcx
	shr	$3, %rcx
	rep movsq
	mov	%edx, %ecx
	and	$7, %ecx
	rep movsb
	xor	%eax, %eax
	ret
	.size	uf_copy, . - uf_copy

/* struct copy_result uf_load32(const void *p, u32 *v) */
	.globl	uf_load32
	.type	uf_load32, @function
uf_load32:
	mov	(%rdi), %eax
	mov	%eax, (%rsi)
	xor	%eax, %eax
	ret
	.size	uf_load32, . - uf_load32

/* struct copy_result uf_cmpxchg32(void *p, u32 old, u32 new, u32 *seen) */
	.globl	uf_cmpxchg32
	.type	uf_cmpxchg32, @function
uf_cmpxchg32:
	mov	%esi, %eax
	mov	%edx, %r8d
	lock cmpxchg %r8d, (%rdi)
	mov	%eax, (%rcx)
	xor	%eax, %eax
	ret
	.size	uf_cmpxchg32, . - uf_cmpxchg32

/*
 * One word, with a convention of its own (plat_try_load64, plat_try_store64): %rdi the address;
 * result %rax 0 or -EFAULT, %rdx what was loaded or was to be stored. Nothing else changes.
 */
	.globl	uf_try_load64
	.type	uf_try_load64, @function
uf_try_load64:
	mov	(%rdi), %rdx
	xor	%eax, %eax
	ret
	.size	uf_try_load64, . - uf_try_load64
	.globl	uf_try_store64
	.type	uf_try_store64, @function
uf_try_store64:
	mov	%rdx, (%rdi)
	xor	%eax, %eax
	ret
	.size	uf_try_store64, . - uf_try_store64

	.globl	uf_copy_end
uf_copy_end:
	.globl	uf_copy_fault
	.type	uf_copy_fault, @function
uf_copy_fault:
	mov	$-14, %rax
	ret
	.size	uf_copy_fault, . - uf_copy_fault

	.section .note.GNU-stack, "", @progbits
