/* SPDX-License-Identifier: MIT */
/* test: cflags=-Wno-infinite-recursion */
/* A stack that overflows is SIGSEGV; on an alternate stack the process can handle it. */
#include "check.h"
#include <setjmp.h>

static sigjmp_buf out;
static char stack[65536];
static volatile int handled;

static void handler(int sig) {
  (void)sig;
  handled++;
  siglongjmp(out, 1);
}

static int __attribute__((noinline)) recurse(volatile char *above) {
  volatile char frame[4000];
  frame[0] = above[0];
  return recurse(frame) + frame[0];
}

int main(void) {
  OK(sigaltstack(&(stack_t){.ss_sp = stack, .ss_size = sizeof stack}, NULL));
  handle(SIGSEGV, handler, SA_ONSTACK);
  volatile char first = 0;
  for (volatile int i = 0; i < 3; i++)
    if (!sigsetjmp(out, 1))
      recurse(&first);
  EXPECT(handled, 3);
  pid_t pid = OK(fork());
  if (pid == 0) {
    signal(SIGSEGV, SIG_DFL);
    _exit(recurse(&first));
  }
  EXPECT_SIGNAL(pid, SIGSEGV);
  pid = OK(fork());
  if (pid == 0) { /* no stack for the handler: deadly */
    OK(sigaltstack(&(stack_t){.ss_flags = SS_DISABLE}, NULL));
    _exit(recurse(&first));
  }
  EXPECT_SIGNAL(pid, SIGSEGV);
  return done();
}
