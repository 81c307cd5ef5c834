/* SPDX-License-Identifier: MIT */
/* epoll: level and edge triggers, ONESHOT, modification, data, hang-up, nesting, errors. */
#include "check.h"
#include <sys/epoll.h>

static int ep;

static void ctl(int op, int fd, uint32_t events, uint64_t data) {
  struct epoll_event e = {.events = events, .data.u64 = data};
  OK(epoll_ctl(ep, op, fd, &e));
}

int main(void) {
  struct epoll_event got[8];
  int p[2], q[2];
  ep = OK(epoll_create1(EPOLL_CLOEXEC));
  OK(pipe(p)), OK(pipe(q));
  ctl(EPOLL_CTL_ADD, p[0], EPOLLIN, 0x1122334455667788);
  EXPECT(epoll_wait(ep, got, 8, 0), 0);
  tell(p[1]);
  for (int i = 0; i < 3; i++) { /* level: again and again */
    EXPECT(epoll_wait(ep, got, 8, -1), 1);
    CHECK(got[0].events == EPOLLIN && got[0].data.u64 == 0x1122334455667788);
  }
  ctl(EPOLL_CTL_MOD, p[0], EPOLLIN | EPOLLET, 2);
  EXPECT(epoll_wait(ep, got, 8, 0), 1); /* a change re-arms */
  EXPECT(epoll_wait(ep, got, 8, 0), 0); /* edge: once */
  tell(p[1]);
  EXPECT(epoll_wait(ep, got, 8, 0), 1);
  EXPECT(got[0].data.u64, 2);
  EXPECT(epoll_wait(ep, got, 8, 0), 0);
  ctl(EPOLL_CTL_MOD, p[0], EPOLLIN | EPOLLONESHOT, 3);
  EXPECT(epoll_wait(ep, got, 8, 0), 1);
  tell(p[1]);
  EXPECT(epoll_wait(ep, got, 8, 0), 0);
  ctl(EPOLL_CTL_MOD, p[0], EPOLLIN | EPOLLONESHOT, 4);
  EXPECT(epoll_wait(ep, got, 8, 0), 1);
  await(p[0]), await(p[0]), await(p[0]);
  ctl(EPOLL_CTL_MOD, p[0], EPOLLIN, 5);
  ctl(EPOLL_CTL_ADD, q[1], EPOLLOUT, 6);
  EXPECT(epoll_wait(ep, got, 8, 0), 1);
  CHECK(got[0].events == EPOLLOUT && got[0].data.u64 == 6);
  pid_t pid = OK(fork());
  if (pid == 0) {
    sleep_ms(20);
    tell(p[1]);
    _exit(0);
  }
  ctl(EPOLL_CTL_DEL, q[1], 0, 0);
  EXPECT(epoll_wait(ep, got, 8, 100000), 1);
  EXPECT(got[0].data.u64, 5);
  EXPECT_EXIT(pid, 0);
  await(p[0]);
  OK(close(p[1]));
  EXPECT(epoll_wait(ep, got, 8, -1), 1);
  CHECK(got[0].events & EPOLLHUP);
  OK(close(p[0])); /* closing takes it out */
  EXPECT(epoll_wait(ep, got, 8, 0), 0);
  struct epoll_event e = {.events = EPOLLIN};
  FAILS(epoll_ctl(ep, EPOLL_CTL_MOD, q[0], &e), ENOENT);
  FAILS(epoll_ctl(ep, EPOLL_CTL_DEL, q[0], &e), ENOENT);
  ctl(EPOLL_CTL_ADD, q[0], EPOLLIN, 7);
  FAILS(epoll_ctl(ep, EPOLL_CTL_ADD, q[0], &e), EEXIST);
  FAILS(epoll_ctl(ep, EPOLL_CTL_ADD, 99, &e), EBADF);
  FAILS(epoll_ctl(ep, EPOLL_CTL_ADD, ep, &e), EINVAL);
  FAILS(epoll_ctl(q[0], EPOLL_CTL_ADD, q[1], &e), EINVAL);
  FAILS(epoll_wait(ep, got, 0, 0), EINVAL);
  FAILS(epoll_wait(q[0], got, 8, 0), EINVAL);
  long start = now_ms();
  EXPECT(epoll_wait(ep, got, 8, 30), 0);
  CHECK(now_ms() - start >= 29);
  return done();
}
