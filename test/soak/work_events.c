/* SPDX-License-Identifier: MIT */
/* Event descriptors of all kinds behind epoll instances that several processes share; terminals. */
#include "soak.h"
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/timerfd.h>
#include <termios.h>

#define SOURCES 6

/* Adds up to n counts over the sources; ends each source with a pipe's end. */
static void produce(const int *fd, unsigned n, uint64_t r) {
  for (unsigned i = 0; i < n; i++) {
    uint64_t one = 1;
    int k = (int)below(&r, SOURCES / 2); /* eventfds */
    EXPECT(write(fd[k], &one, sizeof one), sizeof one);
    if (below(&r, 5) == 0)
      sleep_us(below(&r, 300));
  }
}

struct totals {
  atomic_ulong events, timer, readers_done;
};

/* Takes whatever is ready until all events have been seen by somebody. */
static void consume(int ep, const int *fd, struct totals *t, unsigned long all, bool oneshot,
                    bool edge) {
  while (t->events < all) {
    struct epoll_event ev[3];
    MARK();
    int n = epoll_wait(ep, ev, 3, 20);
    CHECK(n >= 0 || errno == EINTR);
    for (int i = 0; i < n; i++) {
      unsigned k = ev[i].data.u32;
      uint64_t v;
      ssize_t got;
      while ((got = read(fd[k], &v, sizeof v)) == sizeof v) {
        if (k < SOURCES / 2)
          t->events += v;
        else
          t->timer += v;
        if (!edge)
          break;
      }
      CHECK(got == sizeof v || (got == -1 && (errno == EAGAIN || errno == EINTR)));
      if (oneshot) {
        struct epoll_event again = {.events = EPOLLIN | EPOLLONESHOT, .data.u32 = k};
        OK(epoll_ctl(ep, EPOLL_CTL_MOD, fd[k], &again));
      }
    }
  }
}

void job_events(uint64_t *r) {
  int fd[SOURCES], ep = OK(epoll_create1(EPOLL_CLOEXEC));
  unsigned producers = 1 + below(r, 3), consumers = 1 + below(r, 3), n = 1 + below(r, 200);
  bool oneshot = below(r, 2), edge = !oneshot && below(r, 2);
  struct totals *t = shared_alloc(sizeof *t);
  pid_t pids[6];
  for (unsigned k = 0; k < SOURCES; k++) {
    if (k < SOURCES / 2) {
      fd[k] = OK(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
    } else {
      struct itimerspec ts = {{0, 1000000 + below(r, 3000000)}, {0, 1000000}};
      fd[k] = OK(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC));
      OK(timerfd_settime(fd[k], 0, &ts, NULL));
    }
    struct epoll_event ev = {.events = EPOLLIN | (oneshot ? (unsigned)EPOLLONESHOT : 0) |
                                       (edge ? (unsigned)EPOLLET : 0),
                             .data.u32 = k};
    OK(epoll_ctl(ep, EPOLL_CTL_ADD, fd[k], &ev));
  }
  for (unsigned i = 0; i < producers + consumers; i++) {
    pids[i] = child();
    if (pids[i] == 0) {
      if (i < producers)
        produce(fd, n, mix(*r, i));
      else
        consume(ep, fd, t, (unsigned long)producers * n, oneshot, edge);
      _exit(0);
    }
  }
  for (unsigned i = 0; i < producers + consumers; i++)
    EXPECT_EXIT(pids[i], 0);
  EXPECT(t->events, (unsigned long)producers * n);
}

/* ---- terminals ------------------------------------------------------------------------------- */

/* Lines through a terminal come back in capitals; the end of the master hangs the other side up. */
void job_pty(uint64_t *r) {
  char name[40], line[80], back[80];
  int number, on = 0;
  struct termios t;
  int m = OK(open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC));
  OK(ioctl(m, TIOCSPTLCK, &on));
  OK(ioctl(m, TIOCGPTN, &number));
  snprintf(name, sizeof name, "/dev/pts/%d", number);
  int s = OK(open(name, O_RDWR | O_NOCTTY | O_CLOEXEC));
  OK(tcgetattr(s, &t));
  t.c_lflag &= ~(tcflag_t)(ECHO);
  t.c_oflag &= ~(tcflag_t)OPOST;
  OK(tcsetattr(s, TCSANOW, &t));
  pid_t pid = child();
  if (pid == 0) {
    OK(close(m));
    OK(setsid());
    if (ioctl(s, TIOCSCTTY, 0) == -1 && errno == EIO)
      _exit(1); /* the job was killed, and with it the master's last user */
    signal(SIGHUP, SIG_DFL);
    for (;;) {
      ssize_t n = read(s, line, sizeof line);
      if (n < 0 && errno == EINTR)
        continue;
      if (n <= 0)
        pause(); /* for SIGHUP */
      for (ssize_t i = 0; i < n; i++)
        line[i] -= line[i] >= 'a' && line[i] <= 'z' ? 32 : 0;
      write_full(s, line, (size_t)n);
    }
  }
  OK(close(s));
  for (unsigned i = below(r, 10); i > 0; i--) {
    int n = snprintf(line, sizeof line, "line number %u of %d\n", i, getpid());
    write_full(m, line, (size_t)n);
    EXPECT(read_full(m, back, (size_t)n), n);
    for (int k = 0; k < n; k++)
      EXPECT(back[k], line[k] - (line[k] >= 'a' && line[k] <= 'z' ? 32 : 0));
  }
  if (below(r, 2)) {
    OK(kill(pid, SIGHUP));
  } else { /* the master's end; the child may not have its terminal yet */
    for (int i = 0; i < 1000 && tcgetsid(m) != pid; i++)
      sleep_us(1000);
    EXPECT(tcgetsid(m), pid);
  }
  OK(close(m));
  EXPECT_SIGNAL(pid, SIGHUP);
}
