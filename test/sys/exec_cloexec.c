/* SPDX-License-Identifier: MIT */
/* FD_CLOEXEC descriptors are closed by exec, all others stay with their offset; fork keeps both. */
#include "check.h"

int main(int argc, char **argv) {
  if (argc > 1) {
    for (int fd = 10; fd < 16; fd++)
      CHECK((fcntl(fd, F_GETFD) >= 0) == (argv[1][fd - 10] == 'y'));
    char c;
    EXPECT(read(10, &c, 1), 1);
    EXPECT(c, 'b');
    return done();
  }
  int fd = OK(open("cloexec.tmp", O_RDWR | O_CREAT | O_TRUNC, 0600));
  OK(write(fd, "abc", 3));
  OK(lseek(fd, 1, SEEK_SET));
  OK(unlink("cloexec.tmp"));
  EXPECT(dup2(fd, 10), 10);            /* stays */
  EXPECT(dup3(fd, 11, O_CLOEXEC), 11); /* goes */
  EXPECT(fcntl(fd, F_DUPFD_CLOEXEC, 12), 12);
  EXPECT(fcntl(fd, F_DUPFD, 13), 13); /* stays */
  EXPECT(dup2(11, 14), 14);           /* stays: dup2 clears the flag */
  EXPECT(dup2(fd, 15), 15);
  OK(fcntl(15, F_SETFD, FD_CLOEXEC));
  IN_CHILD {
    for (int i = 10; i < 16; i++)
      OK(fcntl(i, F_GETFD));
  }
  END_CHILD(0);
  execl("/proc/self/exe", "x", "ynnyyn", NULL);
  CHECK(!"execl returned");
}
