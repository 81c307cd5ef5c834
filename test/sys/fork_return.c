/* SPDX-License-Identifier: MIT */
/* fork returns 0 to the child and the child's PID to the parent; the two know each other. */
#include "check.h"

int main(void) {
  pid_t self = getpid();
  pid_t pid = OK(fork());
  if (pid == 0) {
    CHECK(getppid() == self);
    CHECK(getpid() != self);
    _exit(7);
  }
  CHECK(pid > 0 && pid != self);
  EXPECT(getpid(), self);
  EXPECT_EXIT(pid, 7);
  FAILS(waitpid(pid, NULL, 0), ECHILD);
  return done();
}
