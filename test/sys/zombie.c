/* SPDX-License-Identifier: MIT */
/* A zombie keeps its PID until it is reaped; with SIGCHLD ignored there are none. */
#include "check.h"

int main(void) {
  pid_t pid = OK(fork());
  if (pid == 0)
    _exit(0);
  siginfo_t info;
  OK(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT));
  OK(kill(pid, 0));
  OK(kill(pid, SIGKILL)); /* no effect, no error */
  EXPECT_EXIT(pid, 0);
  FAILS(kill(pid, 0), ESRCH);

  signal(SIGCHLD, SIG_IGN);
  pid = OK(fork());
  if (pid == 0) {
    sleep_ms(20);
    _exit(0);
  }
  FAILS(waitpid(pid, NULL, 0), ECHILD); /* but it waits until the child is gone */
  FAILS(kill(pid, 0), ESRCH);

  struct sigaction sa = {.sa_handler = SIG_DFL, .sa_flags = SA_NOCLDWAIT};
  OK(sigaction(SIGCHLD, &sa, NULL));
  if (OK(fork()) == 0)
    _exit(0);
  FAILS(wait(NULL), ECHILD);
  return done();
}
