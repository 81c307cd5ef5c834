/* SPDX-License-Identifier: MIT */
/* #! scripts: the interpreter gets its one argument, the script's path, then the arguments. */
#include "check.h"
#include <limits.h>
#include <sys/stat.h>

int main(int argc, char **argv) {
  if (argc > 1) {
    EXPECT(argc, 5);
    CHECK(!strcmp(argv[1], "one argument") && !strcmp(argv[2], "./script.tmp"));
    CHECK(!strcmp(argv[3], "x") && !strcmp(argv[4], "y z"));
    OK(unlink("script.tmp"));
    return done();
  }
  char self[PATH_MAX + 1];
  ssize_t n = OK(readlink("/proc/self/exe", self, PATH_MAX));
  self[n] = 0;
  int fd = OK(open("script.tmp", O_WRONLY | O_CREAT | O_TRUNC, 0700));
  dprintf(fd, "#! %s   one argument  \nthe rest is the interpreter's\n", self);
  OK(close(fd));
  execl("./script.tmp", "ignored", "x", "y z", NULL);
  CHECK(!"execl returned");
}
