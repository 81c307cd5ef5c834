/* SPDX-License-Identifier: MIT */
/* The running thread of a unit test: one per host thread, changed by plat_switch. */
#ifndef UFORK_FAKE_PLAT_CURRENT_H
#define UFORK_FAKE_PLAT_CURRENT_H

struct thread *fake_current(void);
static inline struct thread *thread_current(void) { return fake_current(); }

#endif
