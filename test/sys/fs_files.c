/* SPDX-License-Identifier: MIT */
/* Files: create, exclusive, append, truncate, holes, positions, pread/pwrite, vectors, errors. */
#include "check.h"
#include <sys/stat.h>
#include <sys/uio.h>

int main(void) {
  char buf[100];
  struct stat st;
  int fd = OK(open("file.tmp", O_RDWR | O_CREAT | O_EXCL, 0640));
  FAILS(open("file.tmp", O_RDWR | O_CREAT | O_EXCL, 0640), EEXIST);
  FAILS(open("none.tmp", O_RDONLY), ENOENT);
  FAILS(open("file.tmp/x", O_RDONLY), ENOTDIR);
  FAILS(open("file.tmp", O_RDONLY | O_DIRECTORY), ENOTDIR);
  FAILS(open(".", O_RDWR), EISDIR);
  EXPECT(write(fd, "0123456789", 10), 10);
  EXPECT(pread(fd, buf, 4, 3), 4);
  CHECK(!memcmp(buf, "3456", 4));
  EXPECT(pwrite(fd, "ab", 2, 8), 2);
  EXPECT(lseek(fd, 0, SEEK_CUR), 10);
  EXPECT(lseek(fd, -2, SEEK_END), 8);
  EXPECT(read(fd, buf, 100), 2);
  CHECK(!memcmp(buf, "ab", 2));
  EXPECT(read(fd, buf, 100), 0);
  FAILS(lseek(fd, -1, SEEK_SET), EINVAL);
  FAILS(lseek(fd, 0, 99), EINVAL);
  EXPECT(lseek(fd, 100000, SEEK_SET), 100000); /* a hole */
  EXPECT(write(fd, "end", 3), 3);
  OK(fstat(fd, &st));
  CHECK(st.st_size == 100003 && S_ISREG(st.st_mode) && st.st_nlink == 1);
  EXPECT(pread(fd, buf, 100, 50000), 100);
  for (int i = 0; i < 100; i++)
    EXPECT(buf[i], 0);
  OK(ftruncate(fd, 5));
  OK(ftruncate(fd, 20)); /* what grows back is zeros */
  EXPECT(pread(fd, buf, 100, 0), 20);
  static const char grown[20] = "01234";
  CHECK(!memcmp(buf, grown, 20));
  OK(truncate("file.tmp", 3));
  FAILS(ftruncate(fd, -1), EINVAL);
  int app = OK(open("file.tmp", O_WRONLY | O_APPEND));
  EXPECT(write(app, "AA", 2), 2);
  EXPECT(lseek(app, 0, SEEK_SET), 0);
  EXPECT(write(app, "BB", 2), 2);
  EXPECT(lseek(app, 0, SEEK_CUR), 7); /* appending moves the position to the end */
  EXPECT(lseek(app, -5, SEEK_CUR), 2);
  EXPECT(pwrite(app, "", 0, 1), 0);
  EXPECT(lseek(app, 0, SEEK_CUR), 2);
  FAILS(read(app, buf, 1), EBADF);
  EXPECT(pread(fd, buf, 100, 0), 7);
  CHECK(!memcmp(buf, "012AABB", 7));
  int both = OK(open("file.tmp", O_RDWR | O_APPEND));
  EXPECT(write(both, "C", 1), 1);
  EXPECT(read(both, buf, 100), 0);    /* from the end */
  EXPECT(pwrite(both, "D", 1, 0), 1); /* an append as well, which moves nothing */
  EXPECT(read(both, buf, 100), 1);
  EXPECT(buf[0], 'D');
  EXPECT(write(both, "E", 1), 1);
  OK(fcntl(both, F_SETFL, 0));
  EXPECT(write(both, "F", 1), 1);
  EXPECT(pread(fd, buf, 100, 0), 11);
  CHECK(!memcmp(buf, "012AABBCDEF", 11));
  OK(ftruncate(fd, 7));
  struct iovec out[3] = {{"x", 1}, {"", 0}, {"yz", 2}}, in[2] = {{buf, 2}, {buf + 10, 50}};
  OK(lseek(fd, 0, SEEK_SET));
  EXPECT(writev(fd, out, 3), 3);
  OK(lseek(fd, 0, SEEK_SET));
  EXPECT(readv(fd, in, 2), 7);
  CHECK(!memcmp(buf, "xy", 2) && !memcmp(buf + 10, "zAABB", 5));
  volatile int negative = -1;
  FAILS(readv(fd, in, negative), EINVAL);
  OK(unlink("file.tmp"));
  FAILS(unlink("file.tmp"), ENOENT);
  OK(fstat(fd, &st));
  EXPECT(st.st_nlink, 0);
  EXPECT(pread(fd, buf, 100, 0), 7); /* still there for who has it open */
  int trunc = OK(open("t.tmp", O_WRONLY | O_CREAT | O_TRUNC, 0600));
  EXPECT(write(trunc, "abc", 3), 3);
  OK(close(OK(open("t.tmp", O_WRONLY | O_TRUNC))));
  OK(fstat(trunc, &st));
  EXPECT(st.st_size, 0);
  OK(unlink("t.tmp"));
  return done();
}
