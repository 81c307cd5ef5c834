/* SPDX-License-Identifier: MIT */
/* The running thread is the CPU's `current` (cpu.h). It changes in plat_switch, hence memory to the
 * compiler. */
#ifndef UFORK_PC_PLAT_CURRENT_H
#define UFORK_PC_PLAT_CURRENT_H

#define VCPU_CURRENT 8 /* its place in struct vcpu, which %fs shows */

static inline struct thread *thread_current(void) {
  return *(struct thread * __seg_fs const *)VCPU_CURRENT;
}

/* Is there one? From the first instruction in C on. */
static inline bool thread_exists(void) { return true; }

#endif
