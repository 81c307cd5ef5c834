/* SPDX-License-Identifier: MIT */
/* The running thread, from the kernel stack pointer (kernel/thread.h has the layout). */
#ifndef UFORK_X86_PLAT_CURRENT_H
#define UFORK_X86_PLAT_CURRENT_H

static inline struct thread *thread_current(void) {
  u64 sp;
  __asm__("mov %%rsp, %0" : "=r"(sp));
  return thread_at(sp);
}

#endif
