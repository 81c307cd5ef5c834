/* SPDX-License-Identifier: MIT */
/* kill by PID, group and -1's errors; tgkill; bad signals; the null signal. */
#include "check.h"
#include <sys/syscall.h>

static pid_t sleeper(void) {
  pid_t pid = OK(fork());
  if (pid == 0)
    for (;;)
      pause();
  return pid;
}

int main(void) {
  FAILS(kill(getpid(), 65), EINVAL);
  FAILS(kill(getpid(), -1), EINVAL);
  FAILS(kill(5000000, SIGTERM), ESRCH);
  FAILS(kill(-5000000, SIGTERM), ESRCH);
  OK(kill(getpid(), 0));
  pid_t a = sleeper(), b = sleeper(), c = sleeper();
  OK(setpgid(a, a)), OK(setpgid(b, a));
  OK(kill(-a, 0));
  OK(kill(-a, SIGTERM));
  EXPECT_SIGNAL(a, SIGTERM);
  EXPECT_SIGNAL(b, SIGTERM);
  FAILS(kill(-a, 0), ESRCH);
  EXPECT(waitpid(c, NULL, WNOHANG), 0);
  FAILS(syscall(SYS_tgkill, c, c + 50000, SIGTERM), ESRCH);
  FAILS(syscall(SYS_tgkill, -1, c, SIGTERM), EINVAL);
  OK(syscall(SYS_tgkill, c, c, SIGINT));
  EXPECT_SIGNAL(c, SIGINT);
  IN_CHILD { /* a group of one's own, all of it */
    OK(setpgid(0, 0));
    signal(SIGUSR1, SIG_IGN);
    pid_t d = OK(fork());
    if (d == 0) {
      signal(SIGUSR1, SIG_DFL);
      OK(kill(getpid(), SIGSTOP));
      for (;;)
        pause();
    }
    int status;
    EXPECT(waitpid(d, &status, WUNTRACED), d);
    OK(kill(0, SIGUSR1));
    OK(kill(d, SIGCONT));
    EXPECT_SIGNAL(d, SIGUSR1);
  }
  END_CHILD(0);
  return done();
}
