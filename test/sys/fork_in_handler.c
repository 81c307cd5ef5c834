/* SPDX-License-Identifier: MIT */
/* fork inside a signal handler: both processes return from the handler to where they were. */
#include "check.h"

static volatile pid_t child = -1;
static volatile int handled;

static void handler(int sig) {
  (void)sig;
  handled++;
  child = fork();
}

int main(void) {
  handle(SIGUSR1, handler, 0);
  volatile long sum = 0;
  for (long i = 0; i < 1000; i++) {
    if (i == 500)
      OK(raise(SIGUSR1));
    sum += i;
  }
  EXPECT(sum, 499500);
  EXPECT(handled, 1);
  sigset_t mask;
  OK(sigprocmask(SIG_SETMASK, NULL, &mask));
  CHECK(!sigismember(&mask, SIGUSR1));
  CHECK(child >= 0);
  if (child == 0) {
    OK(raise(SIGUSR1)); /* the handler is inherited: a grandchild */
    if (child)
      EXPECT_EXIT(child, 9);
    _exit(9);
  }
  EXPECT_EXIT(child, 9);
  return done();
}
