/* SPDX-License-Identifier: MIT */
/* rename: over files and empty directories, into others, never into itself; open files stay. */
#include "check.h"
#include <sys/stat.h>

static void file(const char *name, const char *text) {
  int fd = OK(open(name, O_WRONLY | O_CREAT | O_TRUNC, 0600));
  OK(write(fd, text, strlen(text)));
  OK(close(fd));
}

int main(void) {
  char buf[20];
  file("a.tmp", "aaa"), file("b.tmp", "bb");
  int fd = OK(open("b.tmp", O_RDONLY));
  OK(rename("a.tmp", "b.tmp"));
  FAILS(access("a.tmp", F_OK), ENOENT);
  EXPECT(read(fd, buf, 20), 2); /* the one that was there */
  OK(close(fd));
  fd = OK(open("b.tmp", O_RDONLY));
  EXPECT(read(fd, buf, 20), 3);
  OK(mkdir("d.tmp", 0700)), OK(mkdir("d.tmp/e", 0700));
  FAILS(rename("d.tmp", "d.tmp/e/f"), EINVAL);
  FAILS(rename("b.tmp", "d.tmp"), EISDIR);
  FAILS(rename("d.tmp", "b.tmp"), ENOTDIR);
  FAILS(rename("none.tmp", "x.tmp"), ENOENT);
  OK(rename("b.tmp", "d.tmp/e/b"));
  OK(mkdir("x.tmp", 0700));
  FAILS(rename("x.tmp", "d.tmp"), ENOTEMPTY);
  OK(rename("d.tmp", "x.tmp")); /* over an empty directory */
  OK(access("x.tmp/e/b", F_OK));
  OK(rename("x.tmp/e/b", "x.tmp/e/b"));
  OK(link("x.tmp/e/b", "l.tmp"));
  OK(rename("l.tmp", "x.tmp/e/b")); /* the same file: nothing happens */
  OK(access("l.tmp", F_OK));
  OK(unlink("l.tmp")), OK(unlink("x.tmp/e/b")), OK(rmdir("x.tmp/e")), OK(rmdir("x.tmp"));
  return done();
}
