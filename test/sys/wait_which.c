/* SPDX-License-Identifier: MIT */
/* wait4 chooses by PID, group or any; WNOHANG does not wait; nobody's child is ECHILD. */
#include "check.h"
#include <sys/resource.h>

static pid_t child(int ms, int code) {
  pid_t pid = OK(fork());
  if (pid == 0) {
    sleep_ms(ms);
    _exit(code);
  }
  return pid;
}

int main(void) {
  int status;
  FAILS(waitpid(-1, NULL, 0), ECHILD);
  FAILS(waitpid(-1, NULL, WNOHANG), ECHILD);
  pid_t slow = child(150, 1), fast = child(1, 2);
  EXPECT(waitpid(slow, &status, WNOHANG), 0);
  EXPECT(waitpid(slow, &status, 0), slow);
  EXPECT(status, 1 << 8);
  EXPECT(waitpid(-1, &status, 0), fast);
  EXPECT(status, 2 << 8);

  pid_t other = child(100, 3), mine = child(1, 4);
  OK(setpgid(other, other));
  EXPECT(waitpid(0, &status, 0), mine);
  FAILS(waitpid(0, &status, 0), ECHILD);
  EXPECT(waitpid(-other, &status, WNOHANG), 0);
  EXPECT(waitpid(-other, &status, 0), other);
  EXPECT(status, 3 << 8);
  FAILS(waitpid(1, NULL, 0), ECHILD);
  FAILS(waitpid(getppid(), NULL, 0), ECHILD);
  FAILS(waitpid(-1, NULL, 0x40), EINVAL);
  struct rusage usage;
  pid_t busy = child(0, 0);
  EXPECT(wait4(busy, &status, 0, &usage), busy);
  IN_CHILD { /* a grandchild is not one's child */
    pid_t grandchild = child(50, 0);
    IN_CHILD { FAILS(waitpid(grandchild, NULL, 0), ECHILD); }
    END_CHILD(0);
    EXPECT_EXIT(grandchild, 0);
  }
  END_CHILD(0);
  return done();
}
