/* SPDX-License-Identifier: MIT */
/* Clocks go forward, agree with each other, sleeps last as long as they should. */
#include "check.h"
#include <sys/time.h>

static double seconds(clockid_t clock) {
  struct timespec t;
  OK(clock_gettime(clock, &t));
  CHECK(t.tv_nsec >= 0 && t.tv_nsec < 1000000000);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

int main(void) {
  double before = seconds(CLOCK_MONOTONIC);
  for (int i = 0; i < 100000; i++) {
    double now = seconds(CLOCK_MONOTONIC);
    CHECK(now >= before);
    before = now;
  }
  double start = seconds(CLOCK_MONOTONIC), real = seconds(CLOCK_REALTIME);
  OK(nanosleep(&(struct timespec){0, 50000000}, NULL));
  double slept = seconds(CLOCK_MONOTONIC) - start;
  CHECK(slept >= 0.0499 && slept < 40);
  CHECK(seconds(CLOCK_REALTIME) - real >= 0.049);
  struct timespec until;
  OK(clock_gettime(CLOCK_MONOTONIC, &until));
  until.tv_nsec += 30000000;
  if (until.tv_nsec >= 1000000000)
    until.tv_sec++, until.tv_nsec -= 1000000000;
  EXPECT(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL), 0);
  CHECK(seconds(CLOCK_MONOTONIC) >= (double)until.tv_sec + (double)until.tv_nsec / 1e9 - 1e-6);
  CHECK(time(NULL) > 1700000000);
  struct timeval tv;
  OK(gettimeofday(&tv, NULL));
  CHECK(labs(tv.tv_sec - time(NULL)) <= 40);
  double cpu, slept_cpu = 1;
  for (int i = 0; i < 20 && slept_cpu >= 0.04; i++) { /* what others took from the CPU may count */
    cpu = seconds(CLOCK_PROCESS_CPUTIME_ID);
    sleep_ms(50);
    slept_cpu = seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu;
  }
  CHECK(slept_cpu < 0.04);
  cpu = seconds(CLOCK_PROCESS_CPUTIME_ID);
  while (seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu < 0.05) /* a test that hangs fails */
    ;
  struct timespec res;
  OK(clock_getres(CLOCK_MONOTONIC, &res));
  CHECK(res.tv_sec == 0 && res.tv_nsec > 0);
  FAILS(clock_gettime(12345, &res), EINVAL);
  FAILS(nanosleep(&(struct timespec){0, 1000000000}, NULL), EINVAL);
  FAILS(nanosleep(&(struct timespec){-1, 0}, NULL), EINVAL);
  return done();
}
