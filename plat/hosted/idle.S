/* SPDX-License-Identifier: MIT */
/*
 * The idle system call. A kick that interrupts in [uf_idle_check, uf_idle_end) keeps the vCPU from
 * going to sleep (trap.c).
 */
	.text

/*
 * i64 uf_idle_wait(int epfd, events, int n, u64 timeout, u32 nr, const u32 *kicked): epoll_pwait or
 * epoll_pwait2 (nr) unless *kicked; -EINTR if kicked.
 */
	.globl	uf_idle_wait
	.type	uf_idle_wait, @function
uf_idle_wait:
	mov	%rcx, %r10
	mov	%r8d, %eax
	xor	%r8d, %r8d		/* no signal mask; its size, %r9, is then ignored */
	.globl	uf_idle_check
uf_idle_check:
	cmpl	$0, (%r9)
	jne	uf_idle_out
	syscall
	.globl	uf_idle_end
uf_idle_end:
	ret
	.globl	uf_idle_out
uf_idle_out:
	mov	$-4, %rax
	ret
	.size	uf_idle_wait, . - uf_idle_wait

	.section .note.GNU-stack, "", @progbits
