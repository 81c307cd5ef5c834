/* SPDX-License-Identifier: MIT */
/*
 * The µprocess ABI in numbers: shared by the toolchain, the verifier and the kernel.
 * doc/abi.md explains every constant; nothing here may change without changing that page.
 *
 * This header is plain C without dependencies, so that host tools, the freestanding kernel and
 * assembly files (which define __ASSEMBLER__) can all include it.
 */
#ifndef UFORK_ABI_H
#define UFORK_ABI_H

#define UF_ABI_VERSION 1

/* ---- code ---------------------------------------------------------------------------- */

/* No instruction crosses a bundle; every indirect target is the first byte of one. */
#define UF_BUNDLE_SHIFT 5
#define UF_BUNDLE (1 << UF_BUNDLE_SHIFT)

/* The text window: absolute addresses [UF_WINDOW_LO, UF_WINDOW_HI) hold verified code only. */
#define UF_WINDOW_LO 0x00010000
#define UF_WINDOW_HI 0x20000000

/* `and $UF_CODE_MASK, %r32` turns any value into a bundle address below UF_WINDOW_HI. */
#define UF_CODE_MASK 0x1fffffe0

/* ---- regions ------------------------------------------------------------------------- */

/* A region is UF_REGION_SIZE usable bytes at a UF_REGION_ALIGN-aligned base, then a guard. */
#define UF_REGION_SIZE 0x100000000
#define UF_REGION_ALIGN 0x100000000
#define UF_REGION_STRIDE 0x200000000

/* Offsets inside a region. Offsets below UF_DATA_LO are never mapped (null guard and the
   numbers of the text window). */
#define UF_DATA_LO 0x20000000

/* Linking: where ufork-ld puts text (the loader slides it) and data (never moves). */
#define UF_TEXT_LINK 0x00200000
#define UF_DATA_LINK UF_DATA_LO

/* ---- registers and the TCB ----------------------------------------------------------- */

/*
 * %r15 points to the kernel-owned TCB of the running thread; these are the only byte offsets
 * that user code may read through it (64-bit loads; the gate by `jmp *` as well).
 */
#define UF_TCB_BASE 0  /* address of the region's byte 0 */
#define UF_TCB_TP 8    /* thread pointer: the offset that %fs: accesses are relative to */
#define UF_TCB_GATE 16 /* address of the system-call gate */

/*
 * The system-call sequence `lea ret(%rip),%r11; jmp *UF_TCB_GATE(%r15)` ends at the end of a
 * bundle and has this many bytes, so that a call is restarted by resuming at ret - this.
 */
#define UF_SYSCALL_SEQ 11

/* Most that %rsp may have moved since it was last re-based or touched memory, in bytes. */
#define UF_RSP_DRIFT_MAX 0x40000000
/* A memory access through `disp(%rsp)` with |disp| up to this counts as a touch. */
#define UF_RSP_TOUCH_MAX 0x1000

/* ---- images -------------------------------------------------------------------------- */

/* PT_NOTE that marks an image: name "uFork", this type, one 32-bit word UF_ABI_VERSION. */
#define UF_NOTE_NAME "uFork"
#define UF_NOTE_ABI 1

/* Section with the text relocations, not loaded: struct uf_reloc_head, then count entries. */
#define UF_RELOC_SECTION ".ufork.reloc"
#define UF_RELOC_MAGIC 0x4c524655 /* "UFRL" */

/*
 * One relocation: add (or subtract) the text slide to the little-endian word at `vaddr`
 * (a linked address, in text or in data). Sorted by vaddr; words never overlap.
 */
#define UF_RELOC_ADD64 1
#define UF_RELOC_ADD32 2
#define UF_RELOC_SUB32 3
#define UF_RELOC_SUB64 4

#ifndef __ASSEMBLER__
#include <stdint.h>

struct uf_reloc_head {
  uint32_t magic;
  uint32_t version; /* UF_ABI_VERSION */
  uint32_t count;
  uint32_t reserved; /* 0 */
};

struct uf_reloc {
  uint32_t vaddr;
  uint32_t type;
};
#endif

#endif
