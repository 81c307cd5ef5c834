/* SPDX-License-Identifier: MIT */
/* wait4 chooses by PID, group or any; WNOHANG does not wait; nobody's child is ECHILD. */
#include "check.h"
#include <sys/resource.h>

/* Ends when it is told through the pipe; with a null pointer, by itself. */
static pid_t child(const int gate[2], int code) {
  pid_t pid = OK(fork());
  if (pid == 0) {
    if (gate)
      await(gate[0]);
    _exit(code);
  }
  return pid;
}

int main(void) {
  int status, gate[2];
  OK(pipe(gate));
  FAILS(waitpid(-1, NULL, 0), ECHILD);
  FAILS(waitpid(-1, NULL, WNOHANG), ECHILD);
  pid_t slow = child(gate, 1), fast = child(NULL, 2);
  EXPECT(waitpid(slow, &status, WNOHANG), 0);
  tell(gate[1]);
  EXPECT(waitpid(slow, &status, 0), slow);
  EXPECT(status, 1 << 8);
  EXPECT(waitpid(-1, &status, 0), fast);
  EXPECT(status, 2 << 8);

  pid_t other = child(gate, 3), mine = child(NULL, 4);
  OK(setpgid(other, other));
  EXPECT(waitpid(0, &status, 0), mine);
  FAILS(waitpid(0, &status, 0), ECHILD);
  EXPECT(waitpid(-other, &status, WNOHANG), 0);
  tell(gate[1]);
  EXPECT(waitpid(-other, &status, 0), other);
  EXPECT(status, 3 << 8);
  FAILS(waitpid(1, NULL, 0), ECHILD);
  FAILS(waitpid(getppid(), NULL, 0), ECHILD);
  FAILS(waitpid(-1, NULL, 0x40), EINVAL);
  struct rusage usage;
  pid_t busy = child(NULL, 0);
  EXPECT(wait4(busy, &status, 0, &usage), busy);
  IN_CHILD { /* a grandchild is not one's child */
    pid_t grandchild = child(gate, 0);
    IN_CHILD { FAILS(waitpid(grandchild, NULL, 0), ECHILD); }
    END_CHILD(0);
    tell(gate[1]);
    EXPECT_EXIT(grandchild, 0);
  }
  END_CHILD(0);
  return done();
}
