/* SPDX-License-Identifier: MIT */
/* waitid: siginfo of every kind, WNOWAIT leaves the zombie, its errors. */
#include "check.h"

int main(void) {
  siginfo_t info;
  pid_t pid = OK(fork());
  if (pid == 0)
    _exit(41);
  OK(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT));
  OK(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT));
  CHECK(info.si_pid == pid && info.si_signo == SIGCHLD && info.si_code == CLD_EXITED &&
        info.si_status == 41);
  OK(waitid(P_ALL, 0, &info, WEXITED));
  FAILS(waitid(P_PID, (id_t)pid, &info, WEXITED), ECHILD);

  pid = OK(fork());
  if (pid == 0)
    for (;;)
      pause();
  info.si_pid = 77;
  OK(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG));
  EXPECT(info.si_pid, 0);
  OK(kill(pid, SIGSTOP));
  OK(waitid(P_PID, (id_t)pid, &info, WSTOPPED));
  CHECK(info.si_code == CLD_STOPPED && info.si_status == SIGSTOP);
  OK(kill(pid, SIGCONT));
  OK(waitid(P_PGID, (id_t)getpgrp(), &info, WCONTINUED));
  CHECK(info.si_code == CLD_CONTINUED && info.si_status == SIGCONT && info.si_pid == pid);
  OK(kill(pid, SIGKILL));
  OK(waitid(P_PID, (id_t)pid, &info, WEXITED));
  CHECK(info.si_code == CLD_KILLED && info.si_status == SIGKILL);
  FAILS(waitid(P_ALL, 0, &info, 0), EINVAL);
  FAILS(waitid((idtype_t)9, 0, &info, WEXITED), EINVAL);
  return done();
}
