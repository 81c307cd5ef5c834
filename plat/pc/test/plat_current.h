/* SPDX-License-Identifier: MIT */
/* Tests run as one CPU after the other (mmu_cpu), or a host thread is a CPU. */
#ifndef UFORK_PC_TEST_CURRENT_H
#define UFORK_PC_TEST_CURRENT_H

extern _Thread_local struct thread test_thread;
static inline struct thread *thread_current(void) { return &test_thread; }

#endif
