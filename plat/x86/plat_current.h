/* SPDX-License-Identifier: MIT */
/* The running thread, from the kernel stack pointer: a KSTACK_SIZE-aligned block holds both. */
#ifndef UFORK_X86_PLAT_CURRENT_H
#define UFORK_X86_PLAT_CURRENT_H

static inline struct thread *thread_current(void) {
  u64 sp;
  __asm__("mov %%rsp, %0" : "=r"(sp));
  return (struct thread *)(sp & ~(u64)(KSTACK_SIZE - 1));
}

#endif
