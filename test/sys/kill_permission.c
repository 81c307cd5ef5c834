/* SPDX-License-Identifier: MIT */
/* Credentials: another user's process cannot be signalled, ids change as POSIX says. */
#include "check.h"

int main(void) {
  if (geteuid() != 0) /* needs the right to change its ids */
    return done();
  pid_t root = getpid();
  IN_CHILD {
    OK(setgid(2000));
    OK(setuid(1000));
    CHECK(getuid() == 1000 && geteuid() == 1000 && getgid() == 2000 && getegid() == 2000);
    FAILS(setuid(0), EPERM);
    FAILS(seteuid(0), EPERM);
    FAILS(kill(root, SIGTERM), EPERM);
    FAILS(kill(root, 0), EPERM);
    OK(kill(getpid(), 0));
    IN_CHILD { EXPECT(getuid(), 1000); }
    END_CHILD(0);
  }
  END_CHILD(0);
  IN_CHILD {
    OK(setresuid(-1, 1000, -1));
    uid_t r, e, s;
    OK(getresuid(&r, &e, &s));
    CHECK(r == 0 && e == 1000 && s == 0);
    OK(seteuid(0));
    EXPECT(geteuid(), 0);
  }
  END_CHILD(0);
  return done();
}
