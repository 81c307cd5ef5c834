/* SPDX-License-Identifier: MIT */
/* eventfd: counter, semaphore mode, blocking across fork, overflow, poll. */
#include "check.h"
#include <poll.h>
#include <sys/eventfd.h>

int main(void) {
  uint64_t v;
  int fd = OK(eventfd(3, EFD_NONBLOCK | EFD_CLOEXEC));
  EXPECT(read(fd, &v, 8), 8);
  EXPECT(v, 3);
  FAILS(read(fd, &v, 8), EAGAIN);
  FAILS(read(fd, &v, 4), EINVAL);
  v = 5;
  EXPECT(write(fd, &v, 8), 8);
  EXPECT(write(fd, &v, 8), 8);
  struct pollfd p = {fd, POLLIN | POLLOUT, 0};
  EXPECT(poll(&p, 1, 0), 1);
  EXPECT(p.revents, POLLIN | POLLOUT);
  EXPECT(read(fd, &v, 8), 8);
  EXPECT(v, 10);
  v = ~0ull;
  FAILS(write(fd, &v, 8), EINVAL);
  v = ~0ull - 1;
  EXPECT(write(fd, &v, 8), 8);
  v = 1;
  FAILS(write(fd, &v, 8), EAGAIN);
  int sem = OK(eventfd(0, EFD_SEMAPHORE));
  pid_t pid = OK(fork());
  if (pid == 0) {
    sleep_ms(20);
    v = 2;
    _exit(write(sem, &v, 8) != 8);
  }
  EXPECT(read(sem, &v, 8), 8);
  EXPECT(v, 1);
  EXPECT(read(sem, &v, 8), 8);
  EXPECT(v, 1);
  EXPECT_EXIT(pid, 0);
  return done();
}
