/* SPDX-License-Identifier: MIT */
/* Linked into every image, first: the note that marks it, and where calls of undefined weak
   functions end. */
#define __ASSEMBLER__ 1
#include "ufork/abi.h"

	.section .note.ufork,"a",@note
	.balign 4
	.long 2f-1f, 4f-3f, UF_NOTE_ABI
1:	.asciz UF_NOTE_NAME
2:	.balign 4
3:	.long UF_ABI_VERSION
4:

	.section .text.ufork.null,"ax",@progbits
	.p2align UF_BUNDLE_SHIFT
	hlt

	.section .note.GNU-stack,"",@progbits
