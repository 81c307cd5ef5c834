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

/* It lies between the two, with this tolerance, whatever came between the readings. */
static void between(long before, long it, long after, long tolerance) {
  CHECK(it >= before - tolerance && it <= after + tolerance);
}

static long all_of(struct rusage ru) { return ns(ru.ru_utime) + ns(ru.ru_stime); }

/* times() and the CPU clock tell the same as getrusage just before and just after them. */
static void compare(void) {
  struct tms t;
  struct rusage before = usage(RUSAGE_SELF);
  OK(times(&t));
  long clock = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
  struct rusage after = usage(RUSAGE_SELF);
  between(ns(before.ru_utime), t.tms_utime * 10 * MS, ns(after.ru_utime), 20 * MS);
  between(ns(before.ru_stime), t.tms_stime * 10 * MS, ns(after.ru_stime), 20 * MS);
  between(all_of(before), clock, all_of(after), 20 * MS);
}

/* What `work` cost, by getrusage. */
static void measure(void (*work)(void), int who, long *user, long *system) {
  struct rusage before = usage(who);
  compare();
  work();
  compare();
  struct rusage after = usage(who);
  *user = ns(after.ru_utime) - ns(before.ru_utime);
  *system = ns(after.ru_stime) - ns(before.ru_stime);
  CHECK(*user >= 0 && *system >= 0);
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
  long before = all_of(usage(RUSAGE_SELF)), thread = all_of(usage(RUSAGE_THREAD));
  between(before, thread, all_of(usage(RUSAGE_SELF)), 20 * MS);
  puts("ok");
  return 0;
}
