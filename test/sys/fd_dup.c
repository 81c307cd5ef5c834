/* SPDX-License-Identifier: MIT */
/* dup, dup2, dup3, F_DUPFD: lowest free numbers, limits, errors; close frees the number. */
#include "check.h"
#include <sys/resource.h>
#include <sys/syscall.h>

int main(void) {
  struct rlimit limit = {100, 100};
  OK(setrlimit(RLIMIT_NOFILE, &limit));
  int fd = OK(open("/dev/null", O_RDWR));
  int next = OK(dup(fd));
  EXPECT(next, fd + 1);
  EXPECT(dup(fd), fd + 2);
  OK(close(next));
  EXPECT(open("/dev/zero", O_RDONLY), next);
  EXPECT(dup2(fd, fd), fd);
  EXPECT(dup2(fd, 99), 99);
  FAILS(dup2(fd, 100), EBADF);
  FAILS(dup2(fd, -1), EBADF);
  FAILS(dup2(50, 51), EBADF);
  FAILS(dup3(fd, fd, 0), EINVAL);
  FAILS(syscall(SYS_dup3, fd, 51, 77), EINVAL); /* musl's dup3 drops unknown flags */
  FAILS(dup(50), EBADF);
  EXPECT(fcntl(fd, F_DUPFD, 60), 60);
  EXPECT(fcntl(fd, F_DUPFD, 60), 61);
  FAILS(fcntl(fd, F_DUPFD, 100), EINVAL);
  FAILS(fcntl(fd, F_DUPFD, -1), EINVAL);
  int n;
  for (n = 0; dup(fd) >= 0; n++)
    CHECK(n < 100);
  EXPECT(errno, EMFILE);
  int p[2];
  FAILS(pipe(p), EMFILE);
  FAILS(open("/dev/null", O_RDONLY), EMFILE);
  OK(close(61));
  EXPECT(open("/dev/null", O_RDONLY), 61);
  FAILS(close(200), EBADF);
  FAILS(close(-1), EBADF);
  return done();
}
