/* SPDX-License-Identifier: MIT */
#include "kernel/proc/cpu_time.h"
#include "kernel/proc/proc.h"
#include "kernel/signal/signal.h"

#define NS_PER_SEC 1000000000UL
#define LOOK_MIN_NS 1000000UL /* do not look at the limit more often than every ms */

/* ---- accounts ---------------------------------------------------------------------------- */

static void add_thread(struct cpu_use *sum, const struct thread *t) {
  sum->time += sched_thread_time(t);
  sum->user_samples += t->used.user_samples;
  sum->core_samples += t->used.core_samples;
}

/* proc->lock held. */
static inline struct cpu_use use_of(struct proc *p) {
  struct cpu_use sum = p->used;
  struct thread *t;
  list_for_each(t, &p->threads, proc_node) add_thread(&sum, t);
  return sum;
}

void cpu_time_leave(struct proc *p, const struct thread *me) { add_thread(&p->used, me); }

u64 proc_cpu_time(struct proc *p) {
  spin_lock(&p->lock);
  u64 time = use_of(p).time;
  spin_unlock(&p->lock);
  return time;
}

/* The sum in the ratio of the samples; without any it counts as user time. */
static struct cpu_times divide(const struct cpu_use *u) {
  u64 all = u->user_samples + u->core_samples;
  u64 system = all ? u->time / all * u->core_samples + u->time % all * u->core_samples / all : 0;
  return (struct cpu_times){u->time - system, system};
}

struct cpu_times thread_cpu_times(const struct thread *t) {
  struct cpu_use u = {0};
  add_thread(&u, t);
  return divide(&u);
}

struct cpu_times proc_cpu_times(struct proc *p) {
  spin_lock(&p->lock);
  struct cpu_use u = use_of(p);
  struct cpu_times now = divide(&u), *told = &p->told;
  u.time = max_u64(u.time, told->user + told->system); /* another CPU's clock may be behind */
  now.system = min_u64(max_u64(now.system, told->system), u.time - told->user);
  now.user = u.time - now.system;
  *told = now;
  spin_unlock(&p->lock);
  return now;
}

/* ---- the limit --------------------------------------------------------------------------- */

static u64 limit_ns(u64 seconds) {
  return seconds < UINT64_MAX / NS_PER_SEC ? seconds * NS_PER_SEC : UINT64_MAX;
}

/* The earliest moment at which p can have used up its limit. proc->lock held. */
static void arm(struct proc *p) {
  struct rlimit *l = &p->limits[RLIMIT_CPU];
  u64 limit = limit_ns(min_u64(l->cur, l->max)), used = use_of(p).time;
  unsigned cpus = p->nthreads > 1 ? p->nthreads : 1;
  u64 wait = max_u64((limit > used ? limit - used : 0) / cpus, LOOK_MIN_NS);
  u64 now = plat_now();
  ktimer_arm(&p->cpu_limit, wait < UINT64_MAX - now ? now + wait : UINT64_MAX);
}

void cpu_limit_start(struct proc *p) {
  struct rlimit *l = &p->limits[RLIMIT_CPU];
  if (p->cpu_limit_over || (l->cur == RLIM_INFINITY && l->max == RLIM_INFINITY))
    ktimer_disarm(&p->cpu_limit);
  else
    arm(p);
}

void cpu_limit_look(struct ktimer *kt) {
  struct proc *p = container_of(kt, struct proc, cpu_limit);
  struct rlimit *l = &p->limits[RLIMIT_CPU];
  int signo = 0;
  spin_lock(&p->lock);
  if (!p->cpu_limit_over) {
    u64 used = use_of(p).time;
    if (used >= limit_ns(l->max)) {
      signo = SIGKILL;
    } else if (used >= limit_ns(l->cur)) {
      signo = SIGXCPU;
      l->cur++;
    }
    cpu_limit_start(p);
  }
  spin_unlock(&p->lock);
  if (signo)
    signal_send_proc(p, signo, NULL);
}

void cpu_limit_end(struct proc *p) {
  if (unlikely(ktimer_was_used(&p->cpu_limit)))
    ktimer_cancel(&p->cpu_limit);
}
