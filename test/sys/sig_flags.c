/* SPDX-License-Identifier: MIT */
/* sigaction's flags: SA_RESETHAND, SA_NODEFER, sa_mask, SA_SIGINFO; old actions come back. */
#include "check.h"

static volatile int depth, deepest, calls, order[8], n;
static volatile siginfo_t seen;

static void once(int sig) { order[n++] = sig; }

static void nested(int sig) {
  if (++depth > deepest)
    deepest = depth;
  if (++calls < 3)
    raise(sig);
  depth--;
}

static void masked(int sig) {
  order[n++] = sig;
  raise(SIGUSR2); /* in sa_mask: after this handler */
  order[n++] = -sig;
}

static void info(int sig, siginfo_t *si, void *context) {
  CHECK(context != NULL && sig == si->si_signo);
  seen = *si;
}

int main(void) {
  struct sigaction old;
  handle(SIGUSR1, once, SA_RESETHAND);
  OK(raise(SIGUSR1));
  OK(sigaction(SIGUSR1, NULL, &old));
  CHECK(old.sa_handler == SIG_DFL && n == 1);

  handle(SIGUSR1, nested, SA_NODEFER);
  OK(raise(SIGUSR1));
  EXPECT(deepest, 3);
  deepest = calls = 0;
  handle(SIGUSR1, nested, 0); /* one after the other */
  OK(raise(SIGUSR1));
  CHECK(deepest == 1 && calls == 3);

  n = 0;
  struct sigaction sa = {.sa_handler = masked};
  sigaddset(&sa.sa_mask, SIGUSR2);
  OK(sigaction(SIGUSR1, &sa, &old));
  CHECK(old.sa_handler == nested && !(old.sa_flags & SA_NODEFER));
  handle(SIGUSR2, once, 0);
  OK(raise(SIGUSR1));
  CHECK(n == 3 && order[0] == SIGUSR1 && order[1] == -SIGUSR1 && order[2] == SIGUSR2);

  struct sigaction with_info = {.sa_sigaction = info, .sa_flags = SA_SIGINFO};
  OK(sigaction(SIGUSR1, &with_info, NULL));
  OK(kill(getpid(), SIGUSR1));
  CHECK(seen.si_code == SI_USER && seen.si_pid == getpid() && seen.si_uid == getuid());

  FAILS(sigaction(SIGKILL, &sa, NULL), EINVAL);
  FAILS(sigaction(SIGSTOP, &sa, NULL), EINVAL);
  FAILS(sigaction(0, &sa, NULL), EINVAL);
  FAILS(sigaction(65, &sa, NULL), EINVAL);
  OK(sigaction(SIGKILL, NULL, &old));
  return done();
}
