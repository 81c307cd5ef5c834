/* SPDX-License-Identifier: MIT */
/* A handler may change the interrupted context, and what it changes takes effect. */
#include "check.h"
#include <ucontext.h>

static void handler(int sig, siginfo_t *info, void *context) {
  (void)sig, (void)info;
  ucontext_t *uc = context;
  sigaddset(&uc->uc_sigmask, SIGHUP); /* the mask after the handler */
}

int main(void) {
  struct sigaction sa = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO};
  OK(sigaction(SIGUSR1, &sa, NULL));
  OK(raise(SIGUSR1));
  sigset_t now;
  OK(sigprocmask(0, NULL, &now));
  CHECK(sigismember(&now, SIGHUP) && !sigismember(&now, SIGUSR1));
  return done();
}
