/* SPDX-License-Identifier: MIT */
/* Threads as both platforms make them: the first switch to one, its way to user code. */
#include "kernel/thread.h"
#include "kernel/boot.h"
#include "plat/x86/asm_offsets.h"
#include "plat/x86/entry.h"

u64 uf_gate_address(void) { return (u64)(boot.trace ? uf_gate_traced : uf_gate); }

void plat_watch_calls(bool on) {
  thread_current()->tcb_gate = on ? (u64)uf_gate_traced : uf_gate_address();
}

static bool between(u64 pc, const char *from, const char *to) {
  return pc >= (u64)from && pc < (u64)to;
}

u64 uf_restart_exit(u64 pc) {
  return between(pc, uf_exit_leaf, uf_exit_leaf_end)   ? (u64)uf_exit_leaf
         : between(pc, uf_exit_fast, uf_exit_fast_end) ? (u64)uf_exit_fast
         : between(pc, uf_exit_full, uf_exit_full_end) ? (u64)uf_exit_full
                                                       : pc;
}

void plat_thread_init(struct thread *t, void (*entry)(struct thread *t)) {
  t->uregs = (struct uregs *)((char *)t + UF_UREGS);
  t->tcb_gate = uf_gate_address();
  u64 *sp = (u64 *)t->uregs;
  *--sp = (u64)entry;
  *--sp = (u64)t;
  *--sp = (u64)uf_thread_start;
  t->ksp = (u64)sp;
  fpu_init_thread(t);
}

_Noreturn void plat_user_enter(struct thread *t, const struct uregs *r) {
  if (r != t->uregs)
    *t->uregs = *r;
  t->uregs->rflags = (t->uregs->rflags & RFLAGS_USER & ~RFLAGS_DF) | RFLAGS_FIXED;
  uf_user_enter(t);
}
