/* SPDX-License-Identifier: MIT */
/* Among many children the one with something to report is found, whatever it has to report and
   however often; those that have reported are not in the way. */
#include "check.h"

enum { N = 40 };

static pid_t pids[N];

static siginfo_t report_of(int options) {
  siginfo_t info = {0};
  OK(waitid(P_ALL, 0, &info, options | WNOHANG));
  return info;
}

static void nothing(int options) { EXPECT(report_of(options).si_pid, 0); }

/* Waits until the child has this to report, and leaves it. */
static void has(pid_t pid, int options) {
  siginfo_t info;
  OK(waitid(P_PID, (id_t)pid, &info, options | WNOWAIT));
  EXPECT(info.si_pid, pid);
}

static void expect(int options, pid_t pid, int code) {
  siginfo_t info = report_of(options);
  EXPECT(info.si_pid, pid);
  EXPECT(info.si_code, code);
}

int main(void) {
  for (int i = 0; i < N; i++)
    if ((pids[i] = OK(fork())) == 0)
      for (;;)
        pause();
  nothing(WEXITED | WSTOPPED | WCONTINUED);

  OK(kill(pids[10], SIGSTOP)), has(pids[10], WSTOPPED);
  OK(kill(pids[20], SIGKILL)), has(pids[20], WEXITED);
  nothing(WCONTINUED);
  expect(WEXITED, pids[20], CLD_KILLED); /* the stopped one is not in the way */
  nothing(WEXITED);
  expect(WSTOPPED | WEXITED, pids[10], CLD_STOPPED);
  nothing(WSTOPPED | WEXITED);

  OK(kill(pids[10], SIGCONT)), has(pids[10], WCONTINUED);
  nothing(WSTOPPED | WEXITED);
  OK(kill(pids[5], SIGSTOP)), has(pids[5], WSTOPPED);
  OK(kill(pids[30], SIGSTOP)), has(pids[30], WSTOPPED);
  expect(WCONTINUED, pids[10], CLD_CONTINUED);
  OK(kill(pids[30], SIGCONT)), has(pids[30], WCONTINUED); /* the stop is forgotten */
  expect(WSTOPPED, pids[5], CLD_STOPPED);
  nothing(WSTOPPED | WEXITED);
  OK(kill(pids[30], SIGKILL)), has(pids[30], WEXITED);
  expect(WEXITED, pids[30], CLD_KILLED);
  nothing(WSTOPPED | WCONTINUED | WEXITED);
  EXPECT(waitpid(-getpgrp(), NULL, WNOHANG), 0);
  FAILS(waitpid(-pids[0], NULL, WNOHANG), ECHILD); /* no such group */

  OK(setpgid(pids[7], pids[7]));
  EXPECT(waitpid(-pids[7], NULL, WNOHANG), 0);
  OK(kill(-pids[7], SIGKILL));
  EXPECT(waitpid(-pids[7], NULL, 0), pids[7]);
  for (int i = 0; i < N; i++)
    if (i != 20 && i != 30 && i != 7) {
      OK(kill(pids[i], SIGKILL));
      EXPECT_SIGNAL(pids[i], SIGKILL);
    }
  FAILS(wait(NULL), ECHILD);
  return done();
}
