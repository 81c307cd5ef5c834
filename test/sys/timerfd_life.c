/* SPDX-License-Identifier: MIT */
/* timerfd and eventfd as open files: shared by fork, kept by exec, closed by O_CLOEXEC; what they
   refuse; old values, absolute times, epoll, a blocked reader and writer that a signal interrupts.
 */
#include "check.h"
#include <poll.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>

static const struct itimerspec far = {.it_value = {10000, 0}, .it_interval = {77, 5}};
static const struct itimerspec at_once = {.it_value = {0, 1}};
static const struct itimerspec off;

static void refuses(int fd) {
  struct itimerspec bad = {.it_value = {1, 0}, .it_interval = {0, 1000000000}};
  char buf[20];
  FAILS(timerfd_create(CLOCK_MONOTONIC, 12345), EINVAL);
  FAILS(timerfd_create(CLOCK_THREAD_CPUTIME_ID, 0), EINVAL);
  FAILS(timerfd_settime(fd, 0, &bad, NULL), EINVAL);
  bad = (struct itimerspec){.it_value = {-1, 0}};
  FAILS(timerfd_settime(fd, 0, &bad, NULL), EINVAL);
  FAILS(timerfd_settime(fd, 64, &far, NULL), EINVAL);
  FAILS(timerfd_settime(0, 0, &far, NULL), EINVAL); /* no timer */
  FAILS(timerfd_settime(-1, 0, &far, NULL), EBADF);
  FAILS(timerfd_gettime(1, &bad), EINVAL);
  FAILS(read(fd, buf, 7), EINVAL);
  FAILS(write(fd, buf, 8), EINVAL);
  FAILS(eventfd(0, 1234567), EINVAL);
}

static void values(int fd) {
  struct itimerspec old, now;
  OK(timerfd_settime(fd, 0, &far, &old));
  CHECK(!old.it_value.tv_sec && !old.it_value.tv_nsec);
  OK(timerfd_settime(fd, 0, &far, &old));
  CHECK(old.it_value.tv_sec > 9000 && old.it_value.tv_sec <= 10000);
  CHECK(old.it_interval.tv_sec == 77 && old.it_interval.tv_nsec == 5);
  OK(timerfd_settime(fd, 0, &off, &old));
  OK(timerfd_gettime(fd, &now));
  CHECK(!now.it_value.tv_sec && !now.it_value.tv_nsec && old.it_value.tv_sec > 9000);
}

/* One open file: who reads first has the count. */
static void across_fork(int fd) {
  uint64_t n;
  OK(timerfd_settime(fd, 0, &at_once, NULL));
  IN_CHILD {
    EXPECT(read(fd, &n, 8), 8);
    EXPECT(n, 1);
    OK(timerfd_settime(fd, 0, &at_once, NULL)); /* for the parent */
  }
  END_CHILD(0);
  EXPECT(read(fd, &n, 8), 8);
  EXPECT(n, 1);
  struct pollfd p = {fd, POLLIN, 0};
  EXPECT(poll(&p, 1, 0), 0);
  int ep = OK(epoll_create1(0));
  struct epoll_event ev = {.events = EPOLLIN | EPOLLET};
  OK(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev));
  for (int i = 0; i < 20; i++) {
    IN_CHILD { OK(timerfd_settime(fd, 0, &at_once, NULL)); }
    END_CHILD(0);
    EXPECT(epoll_wait(ep, &ev, 1, -1), 1);
    EXPECT(read(fd, &n, 8), 8);
  }
  OK(close(ep));
}

static void absolute(clockid_t clock) {
  struct itimerspec at = {{0, 0}, {0, 0}};
  struct timespec now;
  uint64_t n;
  int fd = OK(timerfd_create(clock, 0));
  OK(clock_gettime(clock, &at.it_value));
  at.it_value.tv_nsec += 15000000;
  at.it_value.tv_sec += at.it_value.tv_nsec / 1000000000;
  at.it_value.tv_nsec %= 1000000000;
  OK(timerfd_settime(fd, TFD_TIMER_ABSTIME, &at, NULL));
  EXPECT(read(fd, &n, 8), 8);
  OK(clock_gettime(clock, &now));
  CHECK(now.tv_sec > at.it_value.tv_sec ||
        (now.tv_sec == at.it_value.tv_sec && now.tv_nsec >= at.it_value.tv_nsec));
  OK(close(fd));
}

static volatile int caught;
static void note(int sig) { caught = sig; }

/* A child sends signals until the call has returned. */
static void interrupted(int fd, bool out) {
  uint64_t n = 1;
  pid_t me = getpid(), pid = OK(fork());
  if (pid == 0)
    for (;;) {
      sleep_ms(2);
      kill(me, SIGUSR1);
    }
  if (out)
    FAILS(write(fd, &n, 8), EINTR);
  else
    FAILS(read(fd, &n, 8), EINTR);
  EXPECT(caught, SIGUSR1);
  handle(SIGUSR1, SIG_IGN, 0); /* one more may be on its way */
  OK(kill(pid, SIGKILL));
  EXPECT_SIGNAL(pid, SIGKILL);
  handle(SIGUSR1, note, 0);
}

static void through_exec(void) {
  char number[3][12];
  int t = OK(timerfd_create(CLOCK_MONOTONIC, 0)), e = OK(eventfd(5, 0));
  int gone = OK(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC));
  OK(timerfd_settime(t, 0, &at_once, NULL));
  snprintf(number[0], 12, "%d", t);
  snprintf(number[1], 12, "%d", e);
  snprintf(number[2], 12, "%d", gone);
  IN_CHILD { execl("/proc/self/exe", "x", number[0], number[1], number[2], NULL); }
  END_CHILD(0);
  uint64_t n;
  EXPECT(read(e, &n, 8), 8);
  EXPECT(n, 3);
  OK(close(t));
  OK(close(e));
  OK(close(gone));
}

static int executed(char **argv) {
  uint64_t n;
  EXPECT(read(atoi(argv[1]), &n, 8), 8);
  EXPECT(n, 1);
  EXPECT(read(atoi(argv[2]), &n, 8), 8);
  EXPECT(n, 5);
  n = 3;
  EXPECT(write(atoi(argv[2]), &n, 8), 8);
  FAILS(fcntl(atoi(argv[3]), F_GETFD), EBADF);
  return 0;
}

int main(int argc, char **argv) {
  if (argc > 3)
    return executed(argv);
  int fd = OK(timerfd_create(CLOCK_MONOTONIC, 0)), e = OK(eventfd(0, 0));
  handle(SIGUSR1, note, 0);
  refuses(fd);
  values(fd);
  across_fork(fd);
  absolute(CLOCK_REALTIME);
  absolute(CLOCK_MONOTONIC);
  absolute(CLOCK_BOOTTIME);
  interrupted(fd, false);
  interrupted(e, false);
  EXPECT(write(e, &(uint64_t){~0ull - 1}, 8), 8);
  interrupted(e, true);
  through_exec();
  return done();
}
