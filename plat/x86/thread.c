/* SPDX-License-Identifier: MIT */
/* Threads as both platforms make them: the first switch to one, its way to user code. */
#include "kernel/thread.h"
#include "plat/x86/asm_offsets.h"
#include "plat/x86/entry.h"

void plat_thread_init(struct thread *t, void (*entry)(struct thread *t)) {
  t->uregs = (struct uregs *)((char *)t + UF_UREGS);
  t->tcb_gate = (u64)uf_gate;
  u64 *sp = (u64 *)t->uregs;
  *--sp = 0; /* keeps the stack aligned for uf_thread_start's calls */
  *--sp = 0;
  *--sp = (u64)uf_thread_start;
  *--sp = 0;          /* rbp */
  *--sp = (u64)entry; /* rbx */
  *--sp = 0;          /* r12 */
  *--sp = 0;          /* r13 */
  *--sp = 0;          /* r14 */
  *--sp = (u64)t;     /* r15 */
  t->ksp = (u64)sp;
  fpu_init_thread(t);
}

_Noreturn void plat_user_enter(struct thread *t, const struct uregs *r) {
  if (r != t->uregs)
    *t->uregs = *r;
  t->uregs->rflags = (t->uregs->rflags & RFLAGS_USER & ~RFLAGS_DF) | RFLAGS_FIXED;
  uf_user_enter(t);
}
