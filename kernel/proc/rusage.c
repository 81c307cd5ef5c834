/* SPDX-License-Identifier: MIT */
/* Times and resource usage. */
#include "kernel/proc/rusage.h"
#include "kernel/mm/space.h"
#include "kernel/mm/usercopy.h"
#include "kernel/proc/internal.h"
#include "kernel/syscall/syscall.h"

#define RUSAGE_SELF 0
#define RUSAGE_CHILDREN (-1)
#define RUSAGE_THREAD 1
#define NS_PER_TICK 10000000 /* times(2) counts in 1/100 s */

static i64 kib(u32 pages) { return (i64)pages * (PAGE_SIZE / 1024); }

void rusage_of(struct proc *p, struct rusage *ru) {
  struct cpu_times t = proc_cpu_times(p);
  *ru = (struct rusage){
      .utime = timeval_of_ns(t.user + p->child_utime),
      .stime = timeval_of_ns(t.system + p->child_stime),
      .maxrss = kib(p->max_pages > p->child_max_pages ? p->max_pages : p->child_max_pages),
  };
}

static void set_times(struct rusage *ru, struct cpu_times t) {
  ru->utime = timeval_of_ns(t.user);
  ru->stime = timeval_of_ns(t.system);
}

i64 sys_getrusage(struct uregs *r) {
  struct proc *p = proc_current();
  struct rusage ru = {0};
  switch ((int)r->rdi) {
  case RUSAGE_SELF:
    set_times(&ru, proc_cpu_times(p));
    space_note_peak(p->space, false);
    ru.maxrss = kib(proc_max_pages(p));
    break;
  case RUSAGE_CHILDREN:
    set_times(&ru, (struct cpu_times){p->child_utime, p->child_stime});
    ru.maxrss = kib(p->child_max_pages);
    break;
  case RUSAGE_THREAD:
    set_times(&ru, thread_cpu_times(thread_current()));
    break;
  default:
    return -EINVAL;
  }
  return copy_to_user(r->rsi, &ru, sizeof ru);
}

i64 sys_times(struct uregs *r) {
  struct proc *p = proc_current();
  struct cpu_times own = proc_cpu_times(p);
  struct {
    i64 utime, stime, cutime, cstime;
  } t = {
      .utime = (i64)(own.user / NS_PER_TICK),
      .stime = (i64)(own.system / NS_PER_TICK),
      .cutime = (i64)(p->child_utime / NS_PER_TICK),
      .cstime = (i64)(p->child_stime / NS_PER_TICK),
  };
  if (r->rdi && copy_to_user(r->rdi, &t, sizeof t) < 0)
    return -EFAULT;
  return (i64)(plat_now() / NS_PER_TICK);
}
