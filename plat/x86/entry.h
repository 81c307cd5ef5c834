/* SPDX-License-Identifier: MIT */
/* What every platform of this machine shares: entry.S and fpu.c (vector state). */
#ifndef UFORK_X86_ENTRY_H
#define UFORK_X86_ENTRY_H

#include "kernel/thread.h"
#include "plat/x86/asm_offsets.h"

_Static_assert(UF_KSTACK_SIZE == KSTACK_SIZE && UF_KSTACK_SPAN == KSTACK_SPAN &&
                   UF_THREAD_ROOM == THREAD_ROOM,
               "asm_offsets.h");
_Static_assert(UF_ORIG_RAX == offsetof(struct uregs, orig_rax), "asm_offsets.h");
_Static_assert(UF_WORK == THREAD_WORK && UF_USER_RIP == THREAD_USER_RSP, "asm_offsets.h");
_Static_assert(UF_NSYSCALLS == offsetof(struct thread, nsyscalls), "asm_offsets.h");
_Static_assert(UF_WORK_MASK == (WORK_RESCHED | WORK_SIGNAL | WORK_PARK | WORK_MOVED),
               "asm_offsets.h");
_Static_assert(UF_TRAP_ROOM >= sizeof(struct trap_info) && UF_TRAP_ROOM % 16 == 0, "");

/* ---- entry.S --------------------------------------------------------------------------------- */

extern char uf_gate[], uf_gate_traced[]; /* the latter: every call goes through syscall_traced */
extern char uf_exit_leaf[], uf_exit_leaf_end[], uf_exit_fast[], uf_exit_fast_end[];
extern char uf_exit_full[], uf_exit_full_end[];
extern char uf_trap_tick[], uf_trap_fault[], uf_thread_start[];
extern char uf_copy_start[], uf_copy_end[], uf_copy_fault[];

struct copy_result {
  i64 err;
  u64 addr;
};
struct copy_result uf_copy(void *dst, const void *src, size_t n);
struct copy_result uf_load32(const void *p, u32 *v);
struct copy_result uf_cmpxchg32(void *p, u32 old, u32 new_, u32 *seen);

_Noreturn void uf_user_enter(struct thread *t);
_Noreturn void uf_run_on(void *stack_top, void (*f)(void *), void *arg);

/* Where a thread of the kernel that was interrupted at pc goes on: the start of an exit sequence,
   so that it looks at its work again, or pc. Any context. */
u64 uf_restart_exit(u64 pc);
/* The gate of the instance's threads. */
u64 uf_gate_address(void);

/* The platform's, called by entry.S. What a switched-in thread does first, on its own stack. */
void uf_switch_finish(struct thread *t);
/* User code was interrupted, or work came just before its return. */
void uf_user_work(struct uregs *r);
/* A system call is over and there is work, or the core must decide what becomes of it. */
void uf_user_leave(struct uregs *r);
/* User code faulted; struct trap_info lies UF_TRAP_ROOM below r. */
void uf_user_fault(struct uregs *r);

/* Goes on with another thread, where it left by this function (or at uf_thread_start); returns when
   somebody goes on with this one. The caller keeps nothing in registers over it. */
static inline __attribute__((always_inline)) void uf_switch_stacks(u64 *save, u64 load) {
  __asm__ volatile("push %%rbp\n\t"
                   "lea 1f(%%rip), %%rax\n\t"
                   "push %%rax\n\t"
                   "mov %%rsp, (%0)\n\t"
                   "mov %1, %%rsp\n\t"
                   "pop %%rax\n\t"
                   "jmp *%%rax\n" /* ret would be predicted wrongly, and the callers' after it */
                   "1:\tpop %%rbp"
                   : "+D"(save), "+S"(load)
                   :
                   : "rax", "rbx", "rcx", "rdx", "r8", "r9", "r10", "r11", "r12", "r13", "r14",
                     "r15", "memory", "cc");
}

/* ---- fpu.c: struct vcpu is the platform's (cpu.h) -------------------------------------------- */

struct vcpu;
void fpu_init(void);
void fpu_init_thread(struct thread *t);
/* Saves the registers for `from` and loads those of `to`; NULL: not a user thread, or dead. */
void fpu_switch(struct vcpu *v, struct thread *from, struct thread *to);

#endif
