/* SPDX-License-Identifier: MIT */
/* Modes and owners: umask, chmod, access, what another user may do, times. */
#include "check.h"
#include <sys/stat.h>

int main(void) {
  struct stat st;
  EXPECT(umask(027), 022);
  EXPECT(umask(027), 027);
  OK(close(OK(open("m.tmp", O_WRONLY | O_CREAT, 0666))));
  OK(stat("m.tmp", &st));
  CHECK((st.st_mode & 07777) == 0640 && st.st_uid == getuid());
  OK(mkdir("d.tmp", 0777));
  OK(stat("d.tmp", &st));
  EXPECT(st.st_mode & 07777, 0750);
  OK(chmod("m.tmp", 0604));
  OK(stat("m.tmp", &st));
  EXPECT(st.st_mode & 07777, 0604);
  IN_CHILD { EXPECT(umask(0), 027); }
  END_CHILD(0);
  struct timespec times[2] = {{1000000000, 5}, {1234567890, 0}};
  OK(utimensat(AT_FDCWD, "m.tmp", times, 0));
  OK(stat("m.tmp", &st));
  CHECK(st.st_mtime == 1234567890 && st.st_atime == 1000000000);
  int fd = OK(open("m.tmp", O_RDWR));
  EXPECT(write(fd, "x", 1), 1);
  OK(fstat(fd, &st));
  CHECK(st.st_mtime > 1600000000);
  if (geteuid() == 0) {
    char here[500];
    CHECK(getcwd(here, sizeof here));
    OK(chmod(".", 0755));
    OK(chmod("m.tmp", 0600));
    OK(chown("m.tmp", 1, 2));
    OK(stat("m.tmp", &st));
    CHECK(st.st_uid == 1 && st.st_gid == 2);
    IN_CHILD {
      OK(setgid(1000)), OK(setuid(1000));
      FAILS(open("m.tmp", O_RDONLY), EACCES);
      FAILS(open("d.tmp/x", O_WRONLY | O_CREAT, 0600), EACCES);
      FAILS(chmod("m.tmp", 0777), EPERM);
      FAILS(chown("m.tmp", 1000, 1000), EPERM);
      FAILS(unlink("m.tmp"), EACCES);
    }
    END_CHILD(0);
  }
  OK(unlink("m.tmp")), OK(rmdir("d.tmp"));
  return done();
}
