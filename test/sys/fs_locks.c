/* SPDX-License-Identifier: MIT */
/* flock belongs to the open file and goes with its last descriptor, record locks to the process. */
#include "check.h"
#include <sys/file.h>

static int lock(int fd, int type, off_t start, off_t length, int command) {
  struct flock l = {.l_type = (short)type, .l_whence = SEEK_SET, .l_start = start, .l_len = length};
  return fcntl(fd, command, &l);
}

int main(void) {
  int a = OK(open("lock.tmp", O_RDWR | O_CREAT, 0600)), b = OK(open("lock.tmp", O_RDWR));
  OK(flock(a, LOCK_EX));
  FAILS(flock(b, LOCK_EX | LOCK_NB), EWOULDBLOCK);
  IN_CHILD {
    FAILS(flock(b, LOCK_SH | LOCK_NB), EWOULDBLOCK);
    OK(flock(a, LOCK_EX | LOCK_NB)); /* it is the same open file */
    OK(close(a));                    /* the parent still has it */
  }
  END_CHILD(0);
  FAILS(flock(b, LOCK_EX | LOCK_NB), EWOULDBLOCK);
  OK(flock(a, LOCK_UN));
  OK(flock(b, LOCK_SH));
  OK(flock(a, LOCK_SH | LOCK_NB));
  OK(close(a));
  OK(flock(b, LOCK_EX | LOCK_NB));
  OK(flock(b, LOCK_UN));

  OK(lock(b, F_WRLCK, 10, 10, F_SETLK));
  IN_CHILD {
    FAILS(lock(b, F_WRLCK, 15, 1, F_SETLK), EAGAIN);
    FAILS(lock(b, F_RDLCK, 0, 0, F_SETLK), EAGAIN);
    OK(lock(b, F_WRLCK, 20, 5, F_SETLK));
    struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 0};
    OK(fcntl(b, F_GETLK, &l));
    CHECK(l.l_type == F_WRLCK && l.l_start == 10 && l.l_len == 10 && l.l_pid == getppid());
  }
  END_CHILD(0);
  OK(lock(b, F_WRLCK, 0, 100, F_SETLK)); /* the child's went with it */
  OK(lock(b, F_UNLCK, 0, 0, F_SETLK));
  IN_CHILD { OK(lock(b, F_WRLCK, 15, 1, F_SETLK)); }
  END_CHILD(0);
  OK(unlink("lock.tmp"));
  return done();
}
