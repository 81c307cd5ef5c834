/* SPDX-License-Identifier: MIT */
#include "kernel/time/clock.h"

#include "kernel/mm/usercopy.h"
#include "kernel/proc/proc.h"
#include "kernel/syscall/syscall.h"

#define FAR_FUTURE (UINT64_MAX / 4) /* 146 years: no overflow when added to a clock */

/* ---- readings -------------------------------------------------------------------------- */

int clock_read(int id, u64 *now) {
  switch (id) {
  case CLOCK_REALTIME:
  case CLOCK_REALTIME_COARSE:
    *now = plat_walltime();
    return 0;
  case CLOCK_MONOTONIC:
  case CLOCK_MONOTONIC_RAW:
  case CLOCK_MONOTONIC_COARSE:
  case CLOCK_BOOTTIME:
    *now = plat_now();
    return 0;
  case CLOCK_PROCESS_CPUTIME_ID:
    *now = proc_cpu_time(proc_current());
    return 0;
  case CLOCK_THREAD_CPUTIME_ID:
    *now = sched_thread_time(thread_current());
    return 0;
  }
  return -EINVAL;
}

u64 clock_deadline(int id, u64 at, bool absolute) {
  u64 now = plat_now();
  if (at > FAR_FUTURE)
    return FAR_FUTURE;
  if (!absolute)
    return now + at;
  if (id != CLOCK_REALTIME && id != CLOCK_REALTIME_COARSE)
    return at;
  u64 wall = plat_walltime();
  return at > wall ? now + (at - wall) : now;
}

/* ---- conversions ----------------------------------------------------------------------- */

int timespec_ns(const struct ktimespec *ts, u64 *ns) {
  if (ts->sec < 0 || ts->nsec < 0 || ts->nsec >= (i64)NSEC_PER_SEC)
    return -EINVAL;
  if ((u64)ts->sec > FAR_FUTURE / NSEC_PER_SEC)
    *ns = FAR_FUTURE;
  else
    *ns = (u64)ts->sec * NSEC_PER_SEC + (u64)ts->nsec;
  return 0;
}

int timespec_from_user(u64 uaddr, u64 *ns) {
  struct ktimespec ts;
  if (copy_from_user(&ts, uaddr, sizeof ts))
    return -EFAULT;
  return timespec_ns(&ts, ns);
}

int timeval_from_user(u64 uaddr, u64 *ns) {
  struct ktimeval tv;
  if (copy_from_user(&tv, uaddr, sizeof tv))
    return -EFAULT;
  if (tv.usec < 0 || tv.usec >= 1000000)
    return -EINVAL;
  struct ktimespec ts = {tv.sec, tv.usec * 1000};
  return timespec_ns(&ts, ns);
}

int timespec_to_user(u64 uaddr, u64 ns) {
  struct ktimespec ts = timespec_of(ns);
  return user_put128(uaddr, (u64)ts.sec, (u64)ts.nsec);
}

int timeval_to_user(u64 uaddr, u64 ns) {
  struct ktimeval tv = {(i64)(ns / NSEC_PER_SEC), (i64)(ns % NSEC_PER_SEC / 1000)};
  return copy_to_user(uaddr, &tv, sizeof tv);
}

int timeout_from_user(u64 uaddr, u64 *deadline) {
  u64 ns;
  if (uaddr == 0) {
    *deadline = UINT64_MAX;
    return 0;
  }
  int err = timespec_from_user(uaddr, &ns);
  if (err == 0)
    *deadline = clock_deadline(CLOCK_MONOTONIC, ns, false);
  return err;
}

/* ---- system calls ---------------------------------------------------------------------- */

i64 sys_clock_gettime(struct uregs *r) {
  u64 now;
  int err = clock_read((int)r->rdi, &now);
  return err ? err : timespec_to_user(r->rsi, now);
}

i64 sys_clock_getres(struct uregs *r) {
  u64 now;
  int err = clock_read((int)r->rdi, &now);
  if (err || r->rsi == 0)
    return err;
  return timespec_to_user(r->rsi, 1);
}

/* The host's clock is not ours to set. */
i64 sys_clock_settime(struct uregs *r) {
  u64 now;
  int err = clock_read((int)r->rdi, &now);
  return err ? err : -EPERM;
}

i64 sys_settimeofday(struct uregs *r) {
  (void)r;
  return -EPERM;
}

i64 sys_gettimeofday(struct uregs *r) {
  if (r->rdi && timeval_to_user(r->rdi, plat_walltime()))
    return -EFAULT;
  if (r->rsi && clear_user(r->rsi, 8)) /* struct timezone: UTC */
    return -EFAULT;
  return 0;
}

i64 sys_time(struct uregs *r) {
  i64 now = (i64)(plat_walltime() / NSEC_PER_SEC);
  if (r->rdi && copy_to_user(r->rdi, &now, sizeof now))
    return -EFAULT;
  return now;
}
