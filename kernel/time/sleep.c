/* SPDX-License-Identifier: MIT */
/*
 * Sleeping for a time. A relative sleep that a signal without a handler interrupts goes on to
 * its first deadline: thread->restart_deadline carries that over the restart (ERESTARTBLOCK; the
 * signal code clears it when a handler runs instead).
 */
#include "kernel/mm/usercopy.h"
#include "kernel/sched/sched.h"
#include "kernel/syscall/syscall.h"
#include "kernel/time/clock.h"

static int sleep_until(u64 deadline) {
  struct waitq nobody;
  waitq_init(&nobody);
  int err = waitq_wait_until(&nobody, false, deadline);
  return err == -ETIMEDOUT ? 0 : err;
}

static i64 sleep_relative(u64 ns, u64 rem_uaddr) {
  struct thread *t = thread_current();
  u64 deadline = t->restart_deadline;
  if (deadline == 0)
    deadline = clock_deadline(CLOCK_MONOTONIC, ns, false);
  t->restart_deadline = 0;
  if (sleep_until(deadline) == 0)
    return 0;
  u64 now = plat_now();
  if (rem_uaddr && timespec_to_user(rem_uaddr, deadline > now ? deadline - now : 0))
    return -EFAULT;
  t->restart_deadline = deadline;
  return -ERESTARTBLOCK;
}

i64 sys_nanosleep(struct uregs *r) {
  u64 ns;
  int err = timespec_from_user(r->rdi, &ns);
  return err ? err : sleep_relative(ns, r->rsi);
}

i64 sys_clock_nanosleep(struct uregs *r) {
  int id = (int)r->rdi;
  u64 ns, now;
  int err = clock_read(id, &now);
  if (err || id == CLOCK_THREAD_CPUTIME_ID)
    return -EINVAL;
  if (id == CLOCK_PROCESS_CPUTIME_ID)
    return -EOPNOTSUPP;
  err = timespec_from_user(r->rdx, &ns);
  if (err)
    return err;
  if (!(r->rsi & TIMER_ABSTIME))
    return sleep_relative(ns, r->r10);
  err = sleep_until(clock_deadline(id, ns, true));
  return err == -ERESTARTSYS ? -ERESTARTNOHAND : err;
}
