/* SPDX-License-Identifier: MIT */
/* uname, sysinfo, times, getrusage, getpriority and what else a program asks about itself. */
#include "check.h"
#include <sched.h>
#include <sys/resource.h>
#include <sys/sysinfo.h>
#include <sys/times.h>
#include <sys/utsname.h>

int main(void) {
  struct utsname u;
  OK(uname(&u));
  CHECK(u.sysname[0] && u.release[0] && !strcmp(u.machine, "x86_64"));
  struct sysinfo s;
  OK(sysinfo(&s));
  CHECK(s.totalram > 0 && s.procs > 0 && s.mem_unit > 0);
  EXPECT(getpagesize(), 4096);
  CHECK(sysconf(_SC_NPROCESSORS_ONLN) >= 1);
  cpu_set_t set;
  OK(sched_getaffinity(0, sizeof set, &set));
  CHECK(CPU_COUNT(&set) >= 1);
  FAILS(sched_getaffinity(-1, sizeof set, &set), ESRCH);
  FAILS(sched_setaffinity(-1, sizeof set, &set), ESRCH);
  OK(sched_yield());
  IN_CHILD {
    struct timespec used;
    do
      OK(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used));
    while (used.tv_sec == 0 && used.tv_nsec < 60000000);
  }
  END_CHILD(0);
  struct rusage r;
  OK(getrusage(RUSAGE_CHILDREN, &r));
  CHECK(r.ru_utime.tv_sec * 1000000 + r.ru_utime.tv_usec + r.ru_stime.tv_sec * 1000000 +
            r.ru_stime.tv_usec >=
        10000);
  OK(getrusage(RUSAGE_SELF, &r));
  FAILS(getrusage(99, &r), EINVAL);
  struct tms t;
  CHECK(times(&t) != (clock_t)-1 && t.tms_cutime + t.tms_cstime >= 1);
  OK(setpriority(PRIO_PROCESS, 0, 7)); /* whoever runs the tests may be nice already */
  EXPECT(getpriority(PRIO_PROCESS, 0), 7);
  CHECK(getuid() == geteuid() && getgid() == getegid());
  return done();
}
