/* SPDX-License-Identifier: MIT */
/* The running thread, from the kernel stack pointer (kernel/thread.h has the layout). */
#ifndef UFORK_HOSTED_PLAT_CURRENT_H
#define UFORK_HOSTED_PLAT_CURRENT_H

static inline struct thread *thread_current(void) {
  u64 sp;
  __asm__("mov %%rsp, %0" : "=r"(sp));
  return thread_at(sp);
}

/* Is there one? Not on stacks of the C library, from which host threads start and help. */
static inline bool thread_exists(void) {
  const void *vcpu;
  __asm__ volatile("mov %%fs:uf_vcpu_self@tpoff, %0" : "=r"(vcpu));
  return vcpu;
}

#endif
