/* SPDX-License-Identifier: MIT */
/* Process groups and sessions: inheritance, setpgid's rules, setsid. */
#include "check.h"

int main(void) {
  int p[2], up[2];
  OK(pipe(p)), OK(pipe(up));
  pid_t group = getpgrp(), session = OK(getsid(0));
  pid_t pid = OK(fork());
  if (pid == 0) {
    CHECK(getpgrp() == group && getsid(0) == session);
    tell(up[1]);
    await(p[0]);
    CHECK(getpgrp() == getpid());
    FAILS(setsid(), EPERM); /* a leader of a group cannot */
    _exit(0);
  }
  await(up[0]);
  FAILS(setpgid(pid, -1), EINVAL);
  FAILS(setpgid(pid, 5000000), EPERM);
  OK(setpgid(pid, pid));
  EXPECT(getpgid(pid), pid);
  tell(p[1]);
  EXPECT_EXIT(pid, 0);
  FAILS(getpgid(pid), ESRCH);
  FAILS(setpgid(5000000, 0), ESRCH);
  IN_CHILD {
    EXPECT(setsid(), getpid());
    CHECK(getsid(0) == getpid() && getpgrp() == getpid());
    FAILS(setsid(), EPERM);
    FAILS(setpgid(0, 0), EPERM);
    IN_CHILD {
      CHECK(getsid(0) == getppid());
      OK(setpgid(0, 0));
      FAILS(setpgid(0, group), EPERM); /* a group of another session */
    }
    END_CHILD(0);
  }
  END_CHILD(0);
  return done();
}
