/* SPDX-License-Identifier: MIT */
/*
 * The one address space of this platform. Everything runs in ring 0; what keeps user code inside
 * its region is the verifier, so addresses below say who uses what, not who may.
 *
 *   0 .. 512 MiB              text window (UF_WINDOW_LO..HI): verified code, read and execute
 *   REGION_AREA_LO .. _HI     regions: 4 GiB each, 4 GiB guard, at random slots
 *   DIRECT_LO ..              all physical memory, read and write, never executable
 *   DEVICE_LO ..              device registers, uncached
 *   STACK_LO ..               kernel stacks with guards between them (kstack.c)
 *   KERNEL_LO ..              the kernel image: text read/execute, rodata read, data read/write
 *
 * This header is also read by assembly.
 */
#ifndef UFORK_PC_LAYOUT_H
#define UFORK_PC_LAYOUT_H

#define KERNEL_LO 0xffffffff80000000
#define KERNEL_PHYS 0x200000 /* physical address of KERNEL_LO's first byte */

/* Where other CPUs begin (ap.S): a page below 1 MiB, which nobody uses once boot.S runs. */
#define TRAMPOLINE_PHYS 0x8000

#ifndef DIRECT_LO /* tests have their memory elsewhere */
#define DIRECT_LO 0xffff888000000000
#endif
#define DEVICE_LO 0xffffc90000000000
#ifndef STACK_LO
#define STACK_LO 0xffffca0000000000
#endif

/* Lower half, from 1 TiB on; a PML4 slot holds 64 regions with their guards. */
#define REGION_AREA_LO 0x0000010000000000
#ifndef REGION_AREA_HI /* tests: few slots, soon used again */
#define REGION_AREA_HI 0x0000700000000000
#endif

#endif
