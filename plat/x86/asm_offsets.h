/* SPDX-License-Identifier: MIT */
/* Constants that entry.S shares with C; entry.h checks them against the structures. */
#ifndef UFORK_X86_ASM_OFFSETS_H
#define UFORK_X86_ASM_OFFSETS_H

#define UF_KSTACK_SIZE 16384
#define UF_KSTACK_SPAN 32768
#define UF_THREAD_ROOM 2048
#define UF_UREGS (-REGS_SIZE) /* struct uregs from the thread's start */
#define UF_ORIG_RAX 136
#define UF_WORK 32
#define UF_USER_RIP 40 /* thread->user_rsp serves as the slot of the last jump */
#define UF_NSYSCALLS 48
#define UF_WORK_MASK 15 /* RESCHED, SIGNAL, PARK, MOVED */
#define UF_TRAP_ROOM 64 /* below uregs: struct trap_info of a fault */

#endif
