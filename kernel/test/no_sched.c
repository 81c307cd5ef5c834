/* SPDX-License-Identifier: MIT */
/* For tests that link the fake platform, but no scheduler. */
#include "kernel/proc/proc.h"
#include "kernel/sched/sched.h"
#include <stdlib.h>

void sched_init(void) { abort(); }
void sched_boot(struct thread *t) {
  (void)t;
  abort();
}
_Noreturn void sched_run(unsigned cpu) {
  (void)cpu;
  abort();
}
struct thread *thread_alloc(void) {
  abort();
}
void thread_trim(void) {}
void proc_trim(void) {}
