/* SPDX-License-Identifier: MIT */
/* What gcc's crtbegin.o gives a static program: the handle that __cxa_atexit is called with. */
	.section .data.rel.ro,"aw",@progbits
	.globl __dso_handle
	.hidden __dso_handle
	.type __dso_handle, @object
	.balign 8
__dso_handle:
	.quad 0
	.size __dso_handle, 8

	.section .note.GNU-stack,"",@progbits
