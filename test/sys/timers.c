/* SPDX-License-Identifier: MIT */
/* Interval timers, alarm, POSIX timers: they fire, repeat, tell the rest, are not inherited. */
#include "check.h"
#include <sys/time.h>

static volatile int alarms, value;
static void on_alarm(int sig) { (void)sig, alarms++; }
static void on_timer(int sig, siginfo_t *info, void *context) {
  (void)sig, (void)context;
  value = info->si_value.sival_int;
}

int main(void) {
  handle(SIGALRM, on_alarm, SA_RESTART); /* pause alone ends by it */
  struct itimerval t = {{0, 10000}, {0, 10000}}, old, off = {0};
  OK(setitimer(ITIMER_REAL, &t, NULL));
  while (alarms < 5)
    pause();
  IN_CHILD {
    OK(getitimer(ITIMER_REAL, &old));
    CHECK(!old.it_value.tv_sec && !old.it_value.tv_usec);
  }
  END_CHILD(0);
  OK(setitimer(ITIMER_REAL, &off, &old));
  CHECK(old.it_interval.tv_usec == 10000);
  EXPECT(alarm(100), 0);
  int left = (int)alarm(0);
  CHECK(left > 0 && left <= 100);
  pid_t pid = OK(fork());
  if (pid == 0) {
    signal(SIGALRM, SIG_DFL);
    t = (struct itimerval){{0, 0}, {0, 20000}};
    OK(setitimer(ITIMER_REAL, &t, NULL));
    for (;;)
      ;
  }
  EXPECT_SIGNAL(pid, SIGALRM);

  struct sigaction sa = {.sa_sigaction = on_timer, .sa_flags = SA_SIGINFO};
  OK(sigaction(SIGUSR1, &sa, NULL));
  timer_t timer;
  struct sigevent ev = {
      .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1, .sigev_value.sival_int = 1234};
  OK(timer_create(CLOCK_MONOTONIC, &ev, &timer));
  struct itimerspec ts = {.it_value = {0, 20000000}};
  OK(timer_settime(timer, 0, &ts, NULL));
  while (!value)
    sleep_ms(1);
  EXPECT(value, 1234);
  OK(timer_delete(timer));
  FAILS(setitimer(99, &t, NULL), EINVAL);
  t.it_value.tv_usec = 1000000;
  FAILS(setitimer(ITIMER_REAL, &t, NULL), EINVAL);
  return done();
}
