/* SPDX-License-Identifier: MIT */
/* ppoll and pselect swap the mask: a blocked signal wakes them, and never gets lost before. */
#include "check.h"
#include <poll.h>
#include <sys/select.h>

static volatile int got;
static void handler(int sig) { (void)sig, got++; }

int main(void) {
  handle(SIGUSR1, handler, SA_RESTART);
  sigset_t block, open_mask;
  sigemptyset(&block);
  sigaddset(&block, SIGUSR1);
  OK(sigprocmask(SIG_BLOCK, &block, &open_mask));
  OK(raise(SIGUSR1));
  EXPECT(poll(NULL, 0, 10), 0);
  EXPECT(got, 0);
  FAILS(ppoll(NULL, 0, NULL, &open_mask), EINTR); /* even with SA_RESTART */
  EXPECT(got, 1);
  OK(raise(SIGUSR1));
  FAILS(pselect(0, NULL, NULL, NULL, NULL, &open_mask), EINTR);
  EXPECT(got, 2);
  pid_t parent = getpid(), pid = OK(fork());
  if (pid == 0) {
    sleep_ms(20);
    _exit(kill(parent, SIGUSR1));
  }
  FAILS(ppoll(NULL, 0, &(struct timespec){1000, 0}, &open_mask), EINTR);
  EXPECT(got, 3);
  EXPECT_EXIT(pid, 0);
  sigset_t now;
  OK(sigprocmask(0, NULL, &now));
  CHECK(sigismember(&now, SIGUSR1));
  return done();
}
