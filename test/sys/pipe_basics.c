/* SPDX-License-Identifier: MIT */
/* Pipes: order, end of file, EPIPE and SIGPIPE, O_NONBLOCK, no seeking, their size. */
#include "check.h"
#include <sys/ioctl.h>
#include <sys/stat.h>

int main(void) {
  int p[2];
  char buf[100];
  OK(pipe2(p, O_CLOEXEC | O_NONBLOCK));
  CHECK(fcntl(p[0], F_GETFD) == FD_CLOEXEC && (fcntl(p[1], F_GETFL) & O_NONBLOCK));
  FAILS(read(p[0], buf, 1), EAGAIN);
  EXPECT(write(p[1], "hello ", 6), 6);
  EXPECT(write(p[1], "world", 5), 5);
  int waiting;
  OK(ioctl(p[0], FIONREAD, &waiting));
  EXPECT(waiting, 11);
  EXPECT(read(p[0], buf, 3), 3);
  EXPECT(read(p[0], buf + 3, 97), 8);
  CHECK(!memcmp(buf, "hello world", 11));
  FAILS(lseek(p[0], 0, SEEK_CUR), ESPIPE);
  FAILS(pread(p[0], buf, 1, 0), ESPIPE);
  FAILS(write(p[0], "x", 1), EBADF);
  FAILS(read(p[1], buf, 1), EBADF);
  struct stat st;
  OK(fstat(p[0], &st));
  CHECK(S_ISFIFO(st.st_mode));
  EXPECT(write(p[1], buf, 0), 0);

  long total = 0;
  static char block[4096];
  ssize_t n;
  while ((n = write(p[1], block, sizeof block)) > 0)
    total += n;
  CHECK(n == -1 && errno == EAGAIN && total >= 16 * 4096);
  FAILS(write(p[1], block, 1), EAGAIN);
  while ((n = read(p[0], block, sizeof block)) > 0)
    total -= n;
  EXPECT(total, 0);

  EXPECT(write(p[1], "last", 4), 4);
  OK(close(p[1]));
  EXPECT(read(p[0], buf, 100), 4);
  EXPECT(read(p[0], buf, 100), 0);
  EXPECT(read(p[0], buf, 100), 0);

  OK(pipe(p));
  OK(close(p[0]));
  pid_t pid = OK(fork());
  if (pid == 0) {
    write(p[1], "x", 1) == 1 ? _exit(1) : _exit(2);
  }
  EXPECT_SIGNAL(pid, SIGPIPE);
  signal(SIGPIPE, SIG_IGN);
  FAILS(write(p[1], "x", 1), EPIPE);
  FAILS(pipe2(p, 12345), EINVAL);
  return done();
}
