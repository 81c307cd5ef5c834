/* SPDX-License-Identifier: MIT */
/* Tests run as one CPU after the other: support.c says which. */
#ifndef UFORK_PC_TEST_CURRENT_H
#define UFORK_PC_TEST_CURRENT_H

extern struct thread test_thread;
static inline struct thread *thread_current(void) { return &test_thread; }

#endif
