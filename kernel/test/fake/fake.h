/* SPDX-License-Identifier: MIT */
/*
 * A platform for unit tests on the host: memory is malloc, CPUs are host threads, kernel threads
 * are contexts of the C library. Tests set what the platform would decide.
 */
#ifndef UFORK_FAKE_H
#define UFORK_FAKE_H

#include "kernel/thread.h"

/* Makes `t` (NULL: a thread of the fake's own, on CPU 0) the host thread's running thread. */
void fake_become(struct thread *t);

extern unsigned fake_ncpus;
extern bool fake_clock_frozen; /* plat_now returns fake_time instead of the host's clock; atomic */
extern u64 fake_time;          /* atomic */
extern unsigned fake_kicks;    /* calls of plat_cpu_kick */
extern unsigned fake_looks;    /* calls of plat_poll_io */
extern size_t fake_pages_used; /* page frames handed out */
extern size_t fake_pages_fail; /* fail from this many page frames on; 0: never */

/* Runs `main` as the first kernel thread with fake_ncpus CPUs, each a host thread in the scheduler.
   Returns when fake_stop has been called by a kernel thread. Once per program. */
void fake_run(void (*entry)(struct thread *t));
_Noreturn void fake_stop(void);
/* A kernel thread that runs entry(t); started by sched_start. */
struct thread *fake_thread(void (*entry)(struct thread *t));

/* Stops the clock where it is, or lets it go on from fake_time. Other CPUs may run meanwhile. */
void fake_freeze(bool frozen);
/* Has a CPU been kicked since the last call, or since it was idle? */
bool fake_interrupted(unsigned cpu);
/* Is it idle, and nobody has kicked it? */
bool fake_asleep(unsigned cpu);

/* What plat_timer_changed was told last. */
extern u64 fake_timer_deadline;

#endif
