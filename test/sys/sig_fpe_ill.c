/* SPDX-License-Identifier: MIT */
/* Division by zero is SIGFPE, ud2 is SIGILL, int3 is SIGTRAP: with code and address, or deadly. */
#include "check.h"
#include <setjmp.h>

static sigjmp_buf out;
static volatile siginfo_t seen;
static volatile int zero;

static void handler(int sig, siginfo_t *info, void *context) {
  (void)sig, (void)context;
  seen = *info;
  siglongjmp(out, 1);
}

static void divide(void) { zero = 100 / zero; }
static void ud2(void) { __asm__ volatile("ud2"); }
static void int3(void) { __asm__ volatile("int3"); }

static void try(void (*fault)(void), int sig) {
  struct sigaction sa = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO};
  OK(sigaction(sig, &sa, NULL));
  seen.si_signo = 0;
  if (!sigsetjmp(out, 1)) {
    fault();
    CHECK(!"no fault");
  }
  EXPECT(seen.si_signo, sig);
  pid_t pid = OK(fork());
  if (pid == 0) {
    signal(sig, SIG_DFL);
    fault();
    _exit(0);
  }
  EXPECT_SIGNAL(pid, sig);
}

int main(void) {
  try(divide, SIGFPE);
  EXPECT(seen.si_code, FPE_INTDIV);
  CHECK(seen.si_addr != NULL);
  try(ud2, SIGILL);
  CHECK(seen.si_addr != NULL);
  try(int3, SIGTRAP);
  return done();
}
