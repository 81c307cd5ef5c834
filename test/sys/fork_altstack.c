/* SPDX-License-Identifier: MIT */
/* fork while running on an alternate signal stack; the child inherits stack and handler. */
#include "check.h"

static char stack[65536];
static volatile pid_t child;
static volatile int on_stack;

static void handler(int sig) {
  (void)sig;
  char here;
  on_stack = &here >= stack && &here < stack + sizeof stack;
  child = fork();
}

int main(void) {
  stack_t ss = {.ss_sp = stack, .ss_size = sizeof stack};
  OK(sigaltstack(&ss, NULL));
  handle(SIGUSR2, handler, SA_ONSTACK);
  OK(raise(SIGUSR2));
  EXPECT(on_stack, 1);
  CHECK(child >= 0);
  stack_t now;
  OK(sigaltstack(NULL, &now));
  CHECK(now.ss_sp == stack && now.ss_flags == 0);
  if (child == 0) {
    on_stack = 0;
    child = -1;
    OK(raise(SIGUSR2));
    EXPECT(on_stack, 1);
    if (child > 0)
      EXPECT_EXIT(child, 5);
    _exit(5);
  }
  EXPECT_EXIT(child, 5);
  return done();
}
