/* SPDX-License-Identifier: MIT */
/* sigsuspend swaps the mask atomically: no wake-up is lost in a thousand rounds of ping-pong. */
#include "check.h"

static volatile int got;
static void handler(int sig) { (void)sig, got++; }

int main(void) {
  sigset_t block, wait_set;
  handle(SIGUSR1, handler, 0);
  sigemptyset(&block);
  sigaddset(&block, SIGUSR1);
  OK(sigprocmask(SIG_BLOCK, &block, &wait_set));
  pid_t parent = getpid(), pid = OK(fork());
  pid_t peer = pid ? pid : parent;
  for (int i = 0; i < 1000; i++) {
    if (pid)
      OK(kill(peer, SIGUSR1));
    while (got == i)
      FAILS(sigsuspend(&wait_set), EINTR);
    EXPECT(got, i + 1);
    if (!pid)
      OK(kill(peer, SIGUSR1));
  }
  if (!pid)
    _exit(0);
  EXPECT_EXIT(pid, 0);
  sigset_t now;
  OK(sigprocmask(SIG_BLOCK, NULL, &now));
  CHECK(sigismember(&now, SIGUSR1));
  return done();
}
