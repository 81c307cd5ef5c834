/* SPDX-License-Identifier: MIT */
/*
 * Scheduling parameters. There is one policy, SCHED_OTHER, round robin: nice values are kept and
 * reported but do not weigh; other policies and affinity to a part of the CPUs are refused.
 */
#include "kernel/mm/usercopy.h"
#include "kernel/proc/proc.h"
#include "kernel/syscall/syscall.h"
#include "kernel/time/clock.h"
#include "lib/string.h"

i64 sys_sched_yield(struct uregs *r) {
  (void)r;
  sched_yield_cpu();
  return 0;
}

/* 0 or the id of an existing thread: 0, otherwise -ESRCH. */
static int check_tid(i32 tid) {
  if (tid < 0)
    return -EINVAL;
  if (tid == 0)
    return 0;
  struct thread *t = thread_find(tid);
  if (!t)
    return -ESRCH;
  thread_put(t);
  return 0;
}

i64 sys_sched_getscheduler(struct uregs *r) { return check_tid((i32)r->rdi); }

static i64 check_param(struct uregs *r, u64 param_uaddr) {
  i32 priority;
  int err = check_tid((i32)r->rdi);
  if (err)
    return err;
  if (copy_from_user(&priority, param_uaddr, sizeof priority))
    return -EFAULT;
  return priority == 0 ? 0 : -EINVAL;
}

i64 sys_sched_setscheduler(struct uregs *r) {
  if ((i32)r->rsi != 0)
    return (i32)r->rsi < 0 ? -EINVAL : -EPERM;
  return check_param(r, r->rdx);
}

i64 sys_sched_setparam(struct uregs *r) { return check_param(r, r->rsi); }

i64 sys_sched_getparam(struct uregs *r) {
  i32 priority = 0;
  int err = check_tid((i32)r->rdi);
  return err ? err : copy_to_user(r->rsi, &priority, sizeof priority);
}

static i64 priority_bound(i32 policy, i32 real_time) {
  switch (policy) {
  case 0: /* OTHER */
  case 3: /* BATCH */
  case 5: /* IDLE */
    return 0;
  case 1: /* FIFO */
  case 2: /* RR */
    return real_time;
  }
  return -EINVAL;
}

i64 sys_sched_get_priority_max(struct uregs *r) { return priority_bound((i32)r->rdi, 99); }
i64 sys_sched_get_priority_min(struct uregs *r) { return priority_bound((i32)r->rdi, 1); }

i64 sys_sched_rr_get_interval(struct uregs *r) {
  struct ktimespec slice = timespec_of(PLAT_TICK_NS);
  int err = check_tid((i32)r->rdi);
  return err ? err : copy_to_user(r->rsi, &slice, sizeof slice);
}

/* Unlike the calls above, those about affinity take a negative id for one that does not exist. */
static int check_affinity_tid(i32 tid) { return tid < 0 ? -ESRCH : check_tid(tid); }

i64 sys_sched_getaffinity(struct uregs *r) {
  u8 mask[MAX_CPUS / 8];
  int err = check_affinity_tid((i32)r->rdi);
  if (err)
    return err;
  if (r->rsi < sizeof mask || r->rsi % 8)
    return -EINVAL;
  memset(mask, 0, sizeof mask);
  for (unsigned i = 0; i < plat_ncpus(); i++)
    mask[i / 8] |= (u8)(1u << i % 8);
  return copy_to_user(r->rdx, mask, sizeof mask) ? -EFAULT : (i64)sizeof mask;
}

/* Every CPU must be allowed: threads cannot be bound. */
i64 sys_sched_setaffinity(struct uregs *r) {
  u8 mask[MAX_CPUS / 8];
  int err = check_affinity_tid((i32)r->rdi);
  if (err)
    return err;
  memset(mask, 0, sizeof mask);
  if (copy_from_user(mask, r->rdx, min_u64(r->rsi, sizeof mask)))
    return -EFAULT;
  for (unsigned i = 0; i < plat_ncpus(); i++)
    if (!(mask[i / 8] & 1u << i % 8))
      return -EINVAL;
  return 0;
}

/* ---- nice -------------------------------------------------------------------------------- */

#define PRIO_PROCESS 0

/* The process that getpriority and setpriority mean, with a reference; groups and users: NULL, *err
 * set. */
static struct proc *priority_target(struct uregs *r, int *err) {
  *err = -EINVAL;
  if ((i32)r->rdi != PRIO_PROCESS)
    return NULL;
  *err = -ESRCH;
  if (r->rsi == 0) {
    proc_get(proc_current());
    return proc_current();
  }
  return proc_find((i32)r->rsi);
}

i64 sys_getpriority(struct uregs *r) {
  int err;
  struct proc *p = priority_target(r, &err);
  if (!p)
    return err;
  i64 ret = 20 - p->nice;
  proc_put(p);
  return ret;
}

i64 sys_setpriority(struct uregs *r) {
  int err;
  struct proc *p = priority_target(r, &err);
  if (!p)
    return err;
  i32 nice = (i32)r->rdx;
  nice = nice < -20 ? -20 : nice > 19 ? 19 : nice;
  err = nice < p->nice && !cred_is_root() ? -EACCES : 0;
  if (!err)
    p->nice = nice;
  proc_put(p);
  return err;
}
