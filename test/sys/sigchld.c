/* SPDX-License-Identifier: MIT */
/* SIGCHLD tells who ended and how; it interrupts pause; SA_NOCLDSTOP hides stops. */
#include "check.h"

static volatile siginfo_t last;
static volatile int count;

static void handler(int sig, siginfo_t *info, void *context) {
  (void)sig, (void)context;
  last = *info;
  count++;
}

int main(void) {
  sigset_t chld, old;
  sigemptyset(&chld);
  sigaddset(&chld, SIGCHLD);
  OK(sigprocmask(SIG_BLOCK, &chld, &old));
  struct sigaction sa = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO};
  OK(sigaction(SIGCHLD, &sa, NULL));
  pid_t pid = OK(fork());
  if (pid == 0)
    _exit(33);
  FAILS(sigsuspend(&old), EINTR);
  CHECK(count == 1 && last.si_signo == SIGCHLD && last.si_code == CLD_EXITED);
  CHECK(last.si_pid == pid && last.si_status == 33 && last.si_uid == getuid());
  EXPECT_EXIT(pid, 33);

  pid = OK(fork());
  if (pid == 0)
    for (;;)
      pause();
  OK(kill(pid, SIGSTOP));
  FAILS(sigsuspend(&old), EINTR);
  CHECK(last.si_code == CLD_STOPPED && last.si_status == SIGSTOP);
  sa.sa_flags |= SA_NOCLDSTOP;
  OK(sigaction(SIGCHLD, &sa, NULL));
  OK(kill(pid, SIGCONT));
  sleep_ms(20);
  sigset_t pending;
  OK(sigpending(&pending));
  CHECK(!sigismember(&pending, SIGCHLD));
  OK(kill(pid, SIGKILL));
  FAILS(sigsuspend(&old), EINTR);
  CHECK(last.si_code == CLD_KILLED && last.si_status == SIGKILL && last.si_pid == pid);
  EXPECT(wait_for(pid), SIGKILL);
  return done();
}
