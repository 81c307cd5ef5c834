/* SPDX-License-Identifier: MIT */
/* Blocked signals wait, once each; pending ones are visible, private to a process, not inherited.
 */
#include "check.h"

static volatile int count[65];
static void handler(int sig) { count[sig]++; }

int main(void) {
  sigset_t set, old, pending;
  handle(SIGUSR1, handler, 0);
  handle(SIGUSR2, handler, 0);
  sigemptyset(&set);
  sigaddset(&set, SIGUSR1);
  sigaddset(&set, SIGKILL); /* cannot be blocked, silently */
  OK(sigprocmask(SIG_BLOCK, &set, &old));
  for (int i = 0; i < 3; i++)
    OK(raise(SIGUSR1));
  OK(raise(SIGUSR2));
  CHECK(count[SIGUSR1] == 0 && count[SIGUSR2] == 1);
  OK(sigpending(&pending));
  CHECK(sigismember(&pending, SIGUSR1) && !sigismember(&pending, SIGUSR2));
  IN_CHILD {
    OK(sigpending(&pending));
    CHECK(!sigismember(&pending, SIGUSR1));
    OK(sigprocmask(SIG_BLOCK, NULL, &set));
    CHECK(sigismember(&set, SIGUSR1) && !sigismember(&set, SIGKILL));
    OK(sigprocmask(SIG_SETMASK, &old, NULL));
    EXPECT(count[SIGUSR1], 0);
  }
  END_CHILD(0);
  OK(sigprocmask(SIG_UNBLOCK, &set, NULL));
  EXPECT(count[SIGUSR1], 1);

  sigfillset(&set);
  OK(sigprocmask(SIG_SETMASK, &set, NULL));
  OK(raise(SIGUSR1));
  signal(SIGUSR1, SIG_IGN); /* discards a pending one */
  OK(sigpending(&pending));
  CHECK(!sigismember(&pending, SIGUSR1));
  FAILS(sigprocmask(77, &set, NULL), EINVAL);
  return done();
}
