/* SPDX-License-Identifier: MIT */
/* timerfd: one shot, interval, reading the count, gettime, cancelling. */
#include "check.h"
#include <poll.h>
#include <sys/timerfd.h>

int main(void) {
  uint64_t n;
  int fd = OK(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC));
  struct itimerspec once = {.it_value = {0, 30000000}}, left;
  long start = now_ms();
  OK(timerfd_settime(fd, 0, &once, NULL));
  OK(timerfd_gettime(fd, &left));
  CHECK(left.it_value.tv_sec == 0 && left.it_value.tv_nsec <= 30000000);
  EXPECT(read(fd, &n, 8), 8);
  CHECK(n == 1 && now_ms() - start >= 29);
  struct itimerspec often = {.it_value = {0, 5000000}, .it_interval = {0, 5000000}};
  start = now_ms();
  OK(timerfd_settime(fd, 0, &often, NULL));
  sleep_ms(60);
  EXPECT(read(fd, &n, 8), 8);
  CHECK(n >= 8 && (long)n <= (now_ms() - start) / 5 + 1);
  struct itimerspec off = {0};
  OK(timerfd_settime(fd, 0, &off, NULL));
  struct pollfd p = {fd, POLLIN, 0};
  EXPECT(poll(&p, 1, 15), 0);
  struct itimerspec at = {0};
  OK(clock_gettime(CLOCK_MONOTONIC, &at.it_value));
  OK(timerfd_settime(fd, TFD_TIMER_ABSTIME, &at, NULL)); /* in the past: at once */
  EXPECT(read(fd, &n, 8), 8);
  OK(fcntl(fd, F_SETFL, O_NONBLOCK));
  FAILS(read(fd, &n, 8), EAGAIN);
  FAILS(timerfd_create(99, 0), EINVAL);
  once.it_value.tv_nsec = 2000000000;
  FAILS(timerfd_settime(fd, 0, &once, NULL), EINVAL);
  return done();
}
