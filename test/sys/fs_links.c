/* SPDX-License-Identifier: MIT */
/* Hard links, symbolic links, loops, readlink, lstat, O_NOFOLLOW. */
#include "check.h"
#include <sys/stat.h>

int main(void) {
  char buf[100];
  struct stat a, b;
  int fd = OK(open("a.tmp", O_RDWR | O_CREAT, 0600));
  EXPECT(write(fd, "data", 4), 4);
  OK(link("a.tmp", "b.tmp"));
  FAILS(link("a.tmp", "b.tmp"), EEXIST);
  OK(stat("a.tmp", &a)), OK(stat("b.tmp", &b));
  CHECK(a.st_ino == b.st_ino && a.st_nlink == 2);
  OK(unlink("a.tmp"));
  OK(stat("b.tmp", &b));
  EXPECT(b.st_nlink, 1);
  OK(symlink("b.tmp", "s.tmp"));
  OK(lstat("s.tmp", &a));
  CHECK(S_ISLNK(a.st_mode) && a.st_size == 5);
  OK(stat("s.tmp", &a));
  EXPECT(a.st_size, 4);
  EXPECT(readlink("s.tmp", buf, sizeof buf), 5);
  CHECK(!memcmp(buf, "b.tmp", 5));
  EXPECT(readlink("s.tmp", buf, 2), 2);
  FAILS(readlink("b.tmp", buf, sizeof buf), EINVAL);
  FAILS(open("s.tmp", O_RDONLY | O_NOFOLLOW), ELOOP);
  OK(close(OK(open("s.tmp", O_RDONLY))));
  OK(symlink("loop2.tmp", "loop1.tmp")), OK(symlink("loop1.tmp", "loop2.tmp"));
  FAILS(open("loop1.tmp", O_RDONLY), ELOOP);
  OK(mkdir("d.tmp", 0700));
  OK(symlink("../b.tmp", "d.tmp/up"));
  OK(stat("d.tmp/up", &a));
  CHECK(a.st_ino == b.st_ino);
  OK(symlink("d.tmp", "dir.tmp"));
  OK(stat("dir.tmp/up", &a));
  CHECK(a.st_ino == b.st_ino);
  OK(symlink("gone.tmp", "dangling.tmp"));
  FAILS(stat("dangling.tmp", &a), ENOENT);
  OK(close(OK(open("dangling.tmp", O_WRONLY | O_CREAT, 0600)))); /* creates what it points to */
  OK(stat("gone.tmp", &a));
  OK(unlink("dangling.tmp")), OK(unlink("gone.tmp")), OK(unlink("dir.tmp"));
  OK(unlink("d.tmp/up")), OK(rmdir("d.tmp")), OK(unlink("loop1.tmp")), OK(unlink("loop2.tmp"));
  OK(unlink("s.tmp")), OK(unlink("b.tmp"));
  EXPECT(pread(fd, buf, 100, 0), 4);
  return done();
}
