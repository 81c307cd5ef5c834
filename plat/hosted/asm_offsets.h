/* SPDX-License-Identifier: MIT */
/* Constants that entry.S shares with C; cpu.c checks them against the structures. */
#ifndef UFORK_HOSTED_ASM_OFFSETS_H
#define UFORK_HOSTED_ASM_OFFSETS_H

#define HOSTED_KSTACK_SIZE 16384
#define HOSTED_UREGS (HOSTED_KSTACK_SIZE - REGS_SIZE) /* struct uregs from the thread's start */
#define HOSTED_ORIG_RAX 136
#define HOSTED_WORK 32
#define HOSTED_USER_RIP 40  /* thread->user_rsp serves as the slot of the last jump */
#define HOSTED_WORK_MASK 7  /* RESCHED, SIGNAL, PARK */
#define HOSTED_TRAP_ROOM 64 /* below uregs: struct trap_info of a fault */

#endif
