/* SPDX-License-Identifier: MIT */
/* sigaltstack: reports itself while in use, cannot be changed then, too small is ENOMEM. */
#include "check.h"

static char stack[65536];
static volatile int in_use, refused;

static void handler(int sig) {
  (void)sig;
  stack_t ss;
  OK(sigaltstack(NULL, &ss));
  in_use = ss.ss_flags == SS_ONSTACK;
  refused = sigaltstack(&(stack_t){.ss_flags = SS_DISABLE}, NULL) == -1 && errno == EPERM;
}

int main(void) {
  stack_t ss;
  OK(sigaltstack(NULL, &ss));
  EXPECT(ss.ss_flags, SS_DISABLE);
  FAILS(sigaltstack(&(stack_t){.ss_sp = stack, .ss_size = 100}, NULL), ENOMEM);
  FAILS(sigaltstack(&(stack_t){.ss_sp = stack, .ss_size = sizeof stack, .ss_flags = 64}, NULL),
        EINVAL);
  OK(sigaltstack(&(stack_t){.ss_sp = stack, .ss_size = sizeof stack}, NULL));
  handle(SIGUSR1, handler, SA_ONSTACK);
  OK(raise(SIGUSR1));
  CHECK(in_use && refused);
  handle(SIGUSR1, handler, 0);
  OK(raise(SIGUSR1));
  CHECK(!in_use && !refused);
  return done();
}
