/* SPDX-License-Identifier: MIT */
/*
 * Timers that belong to a process: the three interval timers (setitimer, alarm) and POSIX timers.
 * Made on first use; proc->timers points to them. fork does not copy them, exec keeps the interval
 * timers.
 *
 * proc_timers->lock (spin) protects them; timer callbacks take it, so it is inside no signal lock:
 * order proc_timers->lock -> sighand lock.
 */
#ifndef UFORK_KERNEL_PROC_TIMERS_H
#define UFORK_KERNEL_PROC_TIMERS_H

#include "kernel/time/timer.h"
#include "lib/spin.h"

struct proc;

/* Ends all timers of p: exit. No thread of p runs any more, but the caller. */
void proc_timers_destroy(struct proc *p);
/* exec: POSIX timers go, interval timers stay. */
void proc_timers_exec(struct proc *p);

/* ---- shared between itimer.c and posix_timer.c ------------------------------------------ */

enum { ITIMER_REAL, ITIMER_VIRTUAL, ITIMER_PROF, ITIMER_COUNT };

struct itimer {
  struct ktimer timer;
  struct proc *proc; /* not a reference: the timer dies first */
  int which;
  u64 interval; /* ns, 0: one shot */
  u64 target;   /* REAL: plat_now deadline; others: CPU time */
  bool active;
};

struct posix_timer;
#define POSIX_TIMERS_MAX 64

struct proc_timers {
  struct spin lock;
  struct itimer itimers[ITIMER_COUNT];
  struct posix_timer *posix[POSIX_TIMERS_MAX];
};

/* p's timers, made if they are not there; NULL: no memory. */
struct proc_timers *proc_timers_get(struct proc *p);
/* Deletes every POSIX timer of pt. */
void posix_timers_clear(struct proc_timers *pt);

#endif
