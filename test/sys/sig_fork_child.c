/* SPDX-License-Identifier: MIT */
/* A child inherits handlers, mask and ignored signals, but no pending signals, alarms or timers. */
#include "check.h"

static volatile int count;
static void handler(int sig) { (void)sig, count++; }

int main(void) {
  sigset_t set, now;
  handle(SIGUSR1, handler, 0);
  signal(SIGUSR2, SIG_IGN);
  sigemptyset(&set);
  sigaddset(&set, SIGUSR1);
  sigaddset(&set, SIGALRM);
  OK(sigprocmask(SIG_BLOCK, &set, NULL));
  OK(raise(SIGUSR1));
  alarm(10000);
  IN_CHILD {
    EXPECT(alarm(0), 0);
    OK(sigpending(&now));
    CHECK(!sigismember(&now, SIGUSR1));
    OK(sigprocmask(0, NULL, &now));
    CHECK(sigismember(&now, SIGUSR1) && sigismember(&now, SIGALRM));
    OK(raise(SIGUSR2));
    OK(raise(SIGUSR1));
    OK(sigprocmask(SIG_UNBLOCK, &set, NULL));
    EXPECT(count, 1);
    handle(SIGUSR1, SIG_DFL, 0); /* the child's own */
  }
  END_CHILD(0);
  CHECK(alarm(0) > 9000);
  EXPECT(count, 0);
  OK(sigprocmask(SIG_UNBLOCK, &set, NULL));
  EXPECT(count, 1);
  return done();
}
