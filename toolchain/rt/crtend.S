/* SPDX-License-Identifier: MIT */
/* What gcc's crtend.o gives a static program: the end of the unwind table. */
	.section .eh_frame,"a",@progbits
	.balign 4
	.long 0

	.section .note.GNU-stack,"",@progbits
