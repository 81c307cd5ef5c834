/* SPDX-License-Identifier: MIT */
/* Descriptors share their offset and status flags with the child's; the table itself is a copy. */
#include "check.h"

int main(void) {
  char buf[8];
  int fd = OK(open("offset.tmp", O_RDWR | O_CREAT | O_TRUNC, 0600));
  EXPECT(write(fd, "abcdefghij", 10), 10);
  EXPECT(lseek(fd, 2, SEEK_SET), 2);
  IN_CHILD {
    EXPECT(read(fd, buf, 3), 3);
    CHECK(!memcmp(buf, "cde", 3));
    OK(fcntl(fd, F_SETFL, O_APPEND));
    int other = OK(dup(fd));
    OK(close(fd));
    EXPECT(lseek(other, 0, SEEK_CUR), 5);
  }
  END_CHILD(0);
  EXPECT(lseek(fd, 0, SEEK_CUR), 5);
  EXPECT(read(fd, buf, 2), 2);
  CHECK(!memcmp(buf, "fg", 2));
  CHECK(fcntl(fd, F_GETFL) & O_APPEND);
  FAILS(fcntl(fd + 1, F_GETFD), EBADF);
  int independent = OK(open("offset.tmp", O_RDONLY));
  EXPECT(lseek(independent, 0, SEEK_CUR), 0);
  OK(unlink("offset.tmp"));
  return done();
}
