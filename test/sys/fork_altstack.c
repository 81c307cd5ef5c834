/* SPDX-License-Identifier: MIT */
/*
 * fork while running on an alternate signal stack; the child inherits stack and handler. The stack
 * may lie on the main stack, above what is in use: nothing of that is lost.
 */
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

static __attribute__((noinline)) int lost_below(void) {
  volatile char data[5 * 4096];
  memset((void *)data, 7, sizeof data);
  OK(raise(SIGUSR2));
  int lost = 0;
  for (size_t i = 0; i < sizeof data; i++)
    lost += data[i] != 7;
  return lost;
}

static void on_main_stack(void) {
  char inside[65536];
  stack_t ss = {.ss_sp = inside, .ss_size = sizeof inside};
  OK(sigaltstack(&ss, NULL));
  for (int i = 0; i < 3; i++) { /* the second and third fork find what the first left */
    EXPECT(lost_below(), 0);
    if (child == 0)
      _exit(3);
    EXPECT_EXIT(child, 3);
  }
  OK(sigaltstack(&(stack_t){.ss_flags = SS_DISABLE}, NULL));
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
  on_main_stack();
  return done();
}
