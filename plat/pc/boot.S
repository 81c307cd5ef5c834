/* SPDX-License-Identifier: MIT */
/*
 * From the loader to C. PVH enters in 32-bit protected mode, paging off, %ebx = physical address of
 * hvm_start_info. Makes page tables that last until pagetable.c's: the first 4 GiB at 0 (for the
 * few instructions here) and at DIRECT_LO, the kernel's first GiB at KERNEL_LO. Then long mode.
 */
#include "plat/pc/layout.h"
#include "plat/pc/long_mode.inc"
#include "plat/x86/asm_offsets.h"
#include "kernel/regs.h"

#define PTE_P 1
#define PTE_W 2
#define PTE_LARGE 0x80

	.section .note.pvh, "a", @note
	.balign 4
	.long	4, 4, 18	/* XEN_ELFNOTE_PHYS32_ENTRY */
	.asciz	"Xen"
	.long	PHYS(pvh_entry)

	.section .boot.text, "ax"
	.code32
	.globl	pvh_entry
	.type	pvh_entry, @function
pvh_entry:
	cld
	cli
	mov	$PHYS(boot_gdt_ptr), %eax
	lgdt	(%eax)

	/* Page directories: 4 GiB in pages of 2 MiB. */
	mov	$PHYS(boot_pd), %edi
	mov	$(PTE_P | PTE_W | PTE_LARGE), %eax
	mov	$2048, %ecx
1:	mov	%eax, (%edi)
	movl	$0, 4(%edi)
	add	$0x200000, %eax
	add	$8, %edi
	dec	%ecx
	jnz	1b
	/* One directory pointer table serves 0 and DIRECT_LO. */
	mov	$PHYS(boot_pdpt), %edi
	mov	$(PHYS(boot_pd) + PTE_P + PTE_W), %eax
	mov	$4, %ecx
2:	mov	%eax, (%edi)
	add	$4096, %eax
	add	$8, %edi
	dec	%ecx
	jnz	2b
	/* KERNEL_LO: the directory begins at KERNEL_PHYS, one entry further than the one of 0. */
	mov	$PHYS(boot_kernel_pd), %edi
	mov	$(KERNEL_PHYS + PTE_P + PTE_W + PTE_LARGE), %eax
	mov	$512, %ecx
3:	mov	%eax, (%edi)
	add	$0x200000, %eax
	add	$8, %edi
	dec	%ecx
	jnz	3b
	movl	$(PHYS(boot_kernel_pd) + PTE_P + PTE_W), PHYS(boot_kernel_pdpt) + 510 * 8
	movl	$(PHYS(boot_pdpt) + PTE_P + PTE_W), PHYS(boot_pml4)
	movl	$(PHYS(boot_pdpt) + PTE_P + PTE_W), PHYS(boot_pml4) + 273 * 8
	movl	$(PHYS(boot_kernel_pdpt) + PTE_P + PTE_W), PHYS(boot_pml4) + 511 * 8

	enter_long_mode
	ljmp	$SEL_CODE, $PHYS(long_mode)

	.code64
long_mode:
	load_data_segments
	xor	%eax, %eax
	mov	%eax, %fs
	mov	%eax, %gs
	movabs	$high, %rax
	jmp	*%rax
	.size	pvh_entry, . - pvh_entry

	.text
	.type	high, @function
high:
	mov	$boot_thread + UF_UREGS, %rsp
	mov	%ebx, %edi
	xor	%ebp, %ebp
	call	pc_start
	ud2
	.size	high, . - high

	.section .boot.data, "aw"
	.balign	8
	.globl	boot_gdt
boot_gdt:
	.quad	0
	.quad	0x00af9b000000ffff	/* SEL_CODE: 64 bits */
	.quad	0x00cf93000000ffff	/* SEL_DATA */
boot_gdt_ptr:
	.word	. - boot_gdt - 1
	.long	PHYS(boot_gdt)

	.bss
	.balign	4096
	.globl	boot_pml4
boot_pml4:
	.skip	4096
boot_pdpt:
	.skip	4096
boot_kernel_pdpt:
	.skip	4096
boot_kernel_pd:
	.skip	4096
boot_pd:
	.skip	4 * 4096

/* Stack and struct thread of the boot CPU until the scheduler runs. pagetable_init leaves the guard out. */
	.globl	boot_guard, boot_guard_end, boot_thread
	.balign	UF_KSTACK_SPAN
boot_guard:
	.skip	UF_KSTACK_SPAN - UF_KSTACK_SIZE
boot_guard_end:
	.skip	UF_KSTACK_SIZE - UF_THREAD_ROOM
boot_thread:
	.skip	UF_THREAD_ROOM

	.section .note.GNU-stack, "", @progbits
