/* SPDX-License-Identifier: MIT */
/*
 * Interval timers. VIRTUAL and PROF count CPU time: their kernel timer is set for the earliest
 * moment at which the process can have used enough, and is set again if it has not.
 */
#include "kernel/mm/kmalloc.h"
#include "kernel/mm/usercopy.h"
#include "kernel/proc/proc.h"
#include "kernel/signal/signal.h"
#include "kernel/syscall/syscall.h"
#include "kernel/time/clock.h"
#include "kernel/time/proc_timers.h"

#define CPU_TIMER_MIN_STEP 1000000UL /* do not look at CPU time more often than every ms */

static u64 itimer_clock(struct itimer *it) {
  switch (it->which) {
  case ITIMER_REAL:
    return plat_now();
  case ITIMER_VIRTUAL:
    return proc_cpu_times(it->proc).user;
  default:
    return proc_cpu_time(it->proc);
  }
}

/* Sets the kernel timer for it->target. pt->lock held. */
static void itimer_rearm(struct itimer *it, u64 now) {
  if (it->which == ITIMER_REAL) {
    ktimer_arm(&it->timer, it->target);
    return;
  }
  u64 left = it->target > now ? it->target - now : 0;
  unsigned cpus = it->proc->nthreads > 1 ? it->proc->nthreads : 1;
  ktimer_arm(&it->timer, plat_now() + max_u64(left / cpus, CPU_TIMER_MIN_STEP));
}

static void itimer_fire(struct ktimer *kt) {
  struct itimer *it = container_of(kt, struct itimer, timer);
  static const int signals[ITIMER_COUNT] = {SIGALRM, SIGVTALRM, SIGPROF};
  struct proc_timers *pt = it->proc->timers;
  bool due = false;
  spin_lock(&pt->lock);
  if (it->active) {
    u64 now = itimer_clock(it);
    due = now >= it->target;
    if (due && it->interval)
      it->target += it->interval * ((now - it->target) / it->interval + 1);
    it->active = !due || it->interval;
    if (it->active)
      itimer_rearm(it, now);
  }
  spin_unlock(&pt->lock);
  if (due)
    signal_send_proc(it->proc, signals[it->which], NULL);
}

struct proc_timers *proc_timers_get(struct proc *p) {
  struct proc_timers *pt = __atomic_load_n(&p->timers, __ATOMIC_ACQUIRE);
  if (pt)
    return pt;
  pt = kzalloc(sizeof *pt);
  if (!pt)
    return NULL;
  for (int i = 0; i < ITIMER_COUNT; i++) {
    pt->itimers[i].proc = p;
    pt->itimers[i].which = i;
    ktimer_init(&pt->itimers[i].timer, itimer_fire);
  }
  struct proc_timers *other = NULL;
  if (__atomic_compare_exchange_n(&p->timers, &other, pt, false, __ATOMIC_ACQ_REL,
                                  __ATOMIC_ACQUIRE))
    return pt;
  kfree(pt);
  return other;
}

void proc_timers_exec(struct proc *p) {
  if (p->timers)
    posix_timers_clear(p->timers);
}

void proc_timers_destroy(struct proc *p) {
  struct proc_timers *pt = p->timers;
  if (likely(!pt))
    return;
  posix_timers_clear(pt);
  for (int i = 0; i < ITIMER_COUNT; i++) {
    spin_lock(&pt->lock);
    pt->itimers[i].active = false; /* a callback under way does not arm again */
    spin_unlock(&pt->lock);
    ktimer_cancel(&pt->itimers[i].timer);
  }
  p->timers = NULL;
  kfree(pt);
}

/* Sets timer `which`, returns the old setting. value 0 disarms. */
static int itimer_set(int which, u64 value, u64 interval, u64 *old_value, u64 *old_interval) {
  struct proc_timers *pt = proc_timers_get(proc_current());
  if (!pt)
    return -ENOMEM;
  struct itimer *it = &pt->itimers[which];
  u64 now = itimer_clock(it);
  spin_lock(&pt->lock);
  *old_value = it->active ? max_u64(it->target > now ? it->target - now : 0, 1000) : 0;
  *old_interval = it->active ? it->interval : 0;
  it->active = value != 0;
  it->interval = interval;
  it->target = now + value;
  if (it->active)
    itimer_rearm(it, now);
  else
    ktimer_disarm(&it->timer);
  spin_unlock(&pt->lock);
  return 0;
}

static int itimerval_to_user(u64 uaddr, u64 value, u64 interval) {
  if (timeval_to_user(uaddr, interval))
    return -EFAULT;
  return timeval_to_user(uaddr + sizeof(struct ktimeval), value);
}

i64 sys_setitimer(struct uregs *r) {
  u64 value = 0, interval = 0, old_value, old_interval;
  if (r->rdi >= ITIMER_COUNT)
    return -EINVAL;
  if (r->rsi) {
    int err = timeval_from_user(r->rsi, &interval);
    if (!err)
      err = timeval_from_user(r->rsi + sizeof(struct ktimeval), &value);
    if (err)
      return err;
  }
  int err = itimer_set((int)r->rdi, value, interval, &old_value, &old_interval);
  if (err || r->rdx == 0)
    return err;
  return itimerval_to_user(r->rdx, old_value, old_interval);
}

i64 sys_getitimer(struct uregs *r) {
  if (r->rdi >= ITIMER_COUNT)
    return -EINVAL;
  struct proc_timers *pt = proc_timers_get(proc_current());
  if (!pt)
    return -ENOMEM;
  struct itimer *it = &pt->itimers[r->rdi];
  u64 now = itimer_clock(it);
  spin_lock(&pt->lock);
  u64 value = it->active && it->target > now ? it->target - now : 0;
  u64 interval = it->active ? it->interval : 0;
  spin_unlock(&pt->lock);
  return itimerval_to_user(r->rsi, value, interval);
}

i64 sys_alarm(struct uregs *r) {
  u64 old_value, old_interval;
  u64 seconds = (u32)r->rdi;
  int err = itimer_set(ITIMER_REAL, seconds * NSEC_PER_SEC, 0, &old_value, &old_interval);
  return err ? err : (i64)((old_value + NSEC_PER_SEC - 1) / NSEC_PER_SEC);
}
