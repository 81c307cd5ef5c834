/* SPDX-License-Identifier: MIT */
/*
 * CPU time of processes and its limit. The sum is exact: the scheduler measures it at each switch.
 * A system call has no trap at which user and system time could be told apart for free, so they
 * share the sum in the ratio of the samples that the platform took of the threads.
 */
#ifndef UFORK_KERNEL_CPU_TIME_H
#define UFORK_KERNEL_CPU_TIME_H

#include "lib/types.h"

struct proc;
struct thread;
struct ktimer;

struct cpu_times {
  u64 user, system; /* ns */
};

/* Of all threads of p, dead ones included. Takes proc->lock. */
u64 proc_cpu_time(struct proc *p);
struct cpu_times proc_cpu_times(struct proc *p);
/* Of one thread; the two may run backwards, their sum never does. */
struct cpu_times thread_cpu_times(const struct thread *t);

/* The running thread leaves its process p. proc->lock held. */
void cpu_time_leave(struct proc *p, const struct thread *me);

/* RLIMIT_CPU of p has been set or inherited: SIGXCPU at the soft limit and each second after it,
   SIGKILL at the hard one. proc->lock held. */
void cpu_limit_start(struct proc *p);
/* p has ended: no thread of it runs but the caller, and cpu_limit_over is set, so that nobody
   starts the limit again. No locks. */
void cpu_limit_end(struct proc *p);
/* Fires the timer proc->cpu_limit. */
void cpu_limit_look(struct ktimer *kt);

#endif
