/* SPDX-License-Identifier: MIT */
/* Directories: mkdir, rmdir, reading them all, chdir, getcwd, dot-dot, relative openat. */
#include "check.h"
#include <dirent.h>
#include <sys/stat.h>

enum { FILES = 300 };

int main(void) {
  char path[200], cwd[200];
  OK(mkdir("dir.tmp", 0755));
  FAILS(mkdir("dir.tmp", 0755), EEXIST);
  FAILS(mkdir("none.tmp/x", 0755), ENOENT);
  CHECK(getcwd(cwd, sizeof cwd));
  OK(chdir("dir.tmp"));
  CHECK(getcwd(path, sizeof path) && !strncmp(path, cwd, strlen(cwd)) &&
        !strcmp(path + strlen(path) - 8, "/dir.tmp"));
  for (int i = 0; i < FILES; i++) {
    sprintf(path, "file-%d", i);
    OK(close(OK(open(path, O_WRONLY | O_CREAT, 0600))));
  }
  OK(mkdir("sub", 0700));
  OK(chdir("sub"));
  OK(chdir("../../dir.tmp/./sub/../sub"));
  OK(access("../file-7", F_OK));
  OK(chdir(".."));
  DIR *dir = opendir(".");
  CHECK(dir);
  static int seen[FILES];
  int dots = 0, subs = 0, total = 0;
  for (struct dirent *e; (e = readdir(dir)); total++) {
    int n;
    if (sscanf(e->d_name, "file-%d", &n) == 1) {
      CHECK(!seen[n]++ && (e->d_type == DT_REG || e->d_type == DT_UNKNOWN));
    } else if (!strcmp(e->d_name, "sub")) {
      subs++;
    } else {
      dots += e->d_name[0] == '.';
    }
  }
  CHECK(dots == 2 && subs == 1 && total == FILES + 3);
  rewinddir(dir);
  for (struct dirent *e; (e = readdir(dir));) /* removing while reading */
    if (!strncmp(e->d_name, "file-", 5))
      OK(unlinkat(dirfd(dir), e->d_name, 0));
  FAILS(unlink("sub"), EISDIR);
  FAILS(rmdir("."), EINVAL);
  OK(chdir(".."));
  FAILS(rmdir("dir.tmp"), ENOTEMPTY);
  OK(unlinkat(dirfd(dir), "sub", AT_REMOVEDIR));
  OK(closedir(dir));
  int d = OK(open("dir.tmp", O_RDONLY | O_DIRECTORY));
  OK(mkdirat(d, "again", 0755));
  OK(close(OK(openat(d, "again/f", O_CREAT | O_WRONLY, 0600))));
  OK(unlinkat(d, "again/f", 0));
  OK(unlinkat(d, "again", AT_REMOVEDIR));
  OK(fchdir(d));
  OK(chdir(".."));
  OK(rmdir("dir.tmp"));
  FAILS(rmdir("dir.tmp"), ENOENT);
  FAILS(chdir("none.tmp"), ENOENT);
  char small[1]; /* also too small for "/" */
  CHECK(!getcwd(small, sizeof small) && errno == ERANGE);
  IN_CHILD { OK(chdir("/")); }
  END_CHILD(0);
  CHECK(getcwd(path, sizeof path) && !strcmp(path, cwd));
  return done();
}
