/* SPDX-License-Identifier: MIT */
/* /dev/null, zero, full, random, urandom and getrandom. */
#include "check.h"
#include <sys/random.h>
#include <sys/stat.h>

int main(void) {
  char a[256] = {1}, b[256] = {1};
  int fd = OK(open("/dev/null", O_RDWR));
  EXPECT(read(fd, a, 256), 0);
  EXPECT(write(fd, a, 256), 256);
  struct stat st;
  OK(fstat(fd, &st));
  CHECK(S_ISCHR(st.st_mode) && st.st_rdev == 0x103);
  fd = OK(open("/dev/zero", O_RDWR));
  EXPECT(read(fd, a, 256), 256);
  for (int i = 0; i < 256; i++)
    EXPECT(a[i], 0);
  EXPECT(write(fd, a, 256), 256);
  fd = OK(open("/dev/full", O_RDWR));
  FAILS(write(fd, a, 1), ENOSPC);
  fd = OK(open("/dev/urandom", O_RDONLY));
  EXPECT(read(fd, a, 256), 256);
  EXPECT(getrandom(b, 256, 0), 256);
  CHECK(memcmp(a, b, 256));
  IN_CHILD { /* a child does not repeat its parent's numbers */
    EXPECT(getrandom(a, 256, 0), 256);
    int p = OK(open("random.tmp", O_WRONLY | O_CREAT, 0600));
    EXPECT(write(p, a, 256), 256);
  }
  END_CHILD(0);
  EXPECT(getrandom(b, 256, 0), 256);
  fd = OK(open("random.tmp", O_RDONLY));
  EXPECT(read(fd, a, 256), 256);
  CHECK(memcmp(a, b, 256));
  OK(unlink("random.tmp"));
  FAILS(getrandom(a, 1, 0x100), EINVAL);
  FAILS(open("/dev/nothing", O_RDONLY), ENOENT);
  return done();
}
