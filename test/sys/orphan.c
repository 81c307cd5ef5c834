/* SPDX-License-Identifier: MIT */
/* Orphans are adopted: getppid changes, and a zombie of a dead parent does not stay. */
#include "check.h"
#include <sys/prctl.h>

int main(void) {
  int p[2];
  OK(pipe(p));
  OK(prctl(PR_SET_CHILD_SUBREAPER, 1)); /* as process 1 has it anyway */
  pid_t self = getpid();
  pid_t pid = OK(fork());
  if (pid == 0) {
    pid_t parent = getpid();
    if (OK(fork()) == 0) {
      while (getppid() == parent)
        sleep_ms(1);
      pid_t now = getppid(), me = getpid();
      EXPECT(write(p[1], &now, sizeof now), sizeof now);
      EXPECT(write(p[1], &me, sizeof me), sizeof me);
      _exit(23);
    }
    _exit(0);
  }
  EXPECT_EXIT(pid, 0);
  pid_t adopter, orphan;
  EXPECT(read(p[0], &adopter, sizeof adopter), sizeof adopter);
  EXPECT(read(p[0], &orphan, sizeof orphan), sizeof orphan);
  EXPECT(adopter, self);
  EXPECT_EXIT(orphan, 23);
  return done();
}
