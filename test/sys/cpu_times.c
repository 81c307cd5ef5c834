/* SPDX-License-Identifier: MIT */
/* test: timeout=120 */
/* User and system time are told apart, sum up to the CPU clock, never run backwards, and a reaped
   child's go to its parent. */
#include "check.h"
#include <stdbool.h>
#include <sys/resource.h>
#include <sys/times.h>

#define MS 1000000L
#define SPEND (300 * MS)

static long clock_ns(clockid_t id) {
  struct timespec ts;
  OK(clock_gettime(id, &ts));
  return ts.tv_sec * 1000 * MS + ts.tv_nsec;
}

static long ns(struct timeval tv) { return tv.tv_sec * 1000 * MS + tv.tv_usec * 1000; }

static struct rusage usage(int who) {
  struct rusage ru;
  OK(getrusage(who, &ru));
  return ru;
}

static void compute(void) {
  static volatile unsigned long x;
  for (long end = clock_ns(CLOCK_PROCESS_CPUTIME_ID) + SPEND;
       clock_ns(CLOCK_PROCESS_CPUTIME_ID) < end;)
    for (int i = 0; i < 1000000; i++)
      x = x * 31 + 1;
}

static void call(void) {
  static char buf[1 << 20];
  int fd = OK(open("/dev/zero", O_RDONLY));
  for (long end = clock_ns(CLOCK_PROCESS_CPUTIME_ID) + SPEND;
       clock_ns(CLOCK_PROCESS_CPUTIME_ID) < end;)
    for (int i = 0; i < 20; i++)
      EXPECT(read(fd, buf, sizeof buf), sizeof buf);
  close(fd);
}

/* What `work` cost, by getrusage; checked against times() and the CPU clock. */
static void measure(void (*work)(void), int who, long *user, long *system) {
  struct tms t0, t1;
  struct rusage before = usage(who);
  OK(times(&t0));
  work();
  OK(times(&t1));
  struct rusage after = usage(who);
  *user = ns(after.ru_utime) - ns(before.ru_utime);
  *system = ns(after.ru_stime) - ns(before.ru_stime);
  CHECK(*user >= 0 && *system >= 0);
  if (who != RUSAGE_SELF)
    return;
  CHECK(labs((t1.tms_utime - t0.tms_utime) * 10 * MS - *user) <= 30 * MS);
  CHECK(labs((t1.tms_stime - t0.tms_stime) * 10 * MS - *system) <= 30 * MS);
  long all = ns(after.ru_utime) + ns(after.ru_stime);
  CHECK(labs(clock_ns(CLOCK_PROCESS_CPUTIME_ID) - all) <= 20 * MS);
}

static void never_backwards(void) {
  long user = 0, system = 0;
  for (int i = 0; i < 20000; i++) {
    struct rusage ru = usage(RUSAGE_SELF);
    CHECK(ns(ru.ru_utime) >= user && ns(ru.ru_stime) >= system);
    user = ns(ru.ru_utime);
    system = ns(ru.ru_stime);
  }
}

static void by_a_child(void) {
  pid_t pid = OK(fork());
  if (pid == 0) {
    compute();
    _exit(0);
  }
  struct rusage ru;
  int status;
  EXPECT(wait4(pid, &status, 0, &ru), pid);
  EXPECT(status, 0);
  CHECK(ns(ru.ru_utime) >= SPEND / 2);
}

/* `work` takes most of its time where it should. What others took from the machine may count as
   well, as user or as system time, so this is tried again. */
static void mostly(void (*work)(void), bool in_user, int times) {
  long user, system;
  for (int i = 0; i < 5; i++) {
    measure(work, RUSAGE_SELF, &user, &system);
    CHECK(user + system >= SPEND);
    if (in_user ? user >= times * system : system >= times * user)
      return;
  }
  check_fail(__FILE__, __LINE__, in_user ? "in user mode" : "in the kernel", user);
}

int main(void) {
  long user, system;
  mostly(compute, true, 4);
  mostly(call, false, 1);
  measure(never_backwards, RUSAGE_SELF, &user, &system);
  measure(by_a_child, RUSAGE_CHILDREN, &user, &system);
  CHECK(user >= SPEND / 2);
  struct rusage self = usage(RUSAGE_SELF), thread = usage(RUSAGE_THREAD);
  long difference =
      ns(self.ru_utime) + ns(self.ru_stime) - ns(thread.ru_utime) - ns(thread.ru_stime);
  CHECK(labs(difference) <= 20 * MS);
  puts("ok");
  return 0;
}
