/* SPDX-License-Identifier: MIT */
/* ioctl: FIONREAD, FIONBIO, FIOCLEX, terminals' calls on what is none, isatty. */
#include "check.h"
#include <sys/ioctl.h>
#include <termios.h>

int main(void) {
  int p[2], n = -1, on = 1;
  OK(pipe(p));
  OK(ioctl(p[0], FIONREAD, &n));
  EXPECT(n, 0);
  EXPECT(write(p[1], "abc", 3), 3);
  OK(ioctl(p[0], FIONREAD, &n));
  EXPECT(n, 3);
  OK(ioctl(p[0], FIONBIO, &on));
  CHECK(fcntl(p[0], F_GETFL) & O_NONBLOCK);
  OK(ioctl(p[0], FIOCLEX));
  EXPECT(fcntl(p[0], F_GETFD), FD_CLOEXEC);
  OK(ioctl(p[0], FIONCLEX));
  EXPECT(fcntl(p[0], F_GETFD), 0);
  struct winsize size;
  struct termios t;
  FAILS(ioctl(p[0], TIOCGWINSZ, &size), ENOTTY);
  FAILS(tcgetattr(p[0], &t), ENOTTY);
  EXPECT(isatty(p[0]), 0);
  EXPECT(isatty(OK(open("/dev/null", O_RDONLY))), 0);
  FAILS(ioctl(p[0], 0x12345678, &n), ENOTTY);
  return done();
}
