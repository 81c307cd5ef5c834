/* SPDX-License-Identifier: MIT */
/* sigwait, sigtimedwait, sigqueue with values, queues of real-time signals in their order. */
#include "check.h"

int main(void) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR1);
  for (int i = 0; i < 3; i++)
    sigaddset(&set, SIGRTMIN + i);
  OK(sigprocmask(SIG_BLOCK, &set, NULL));
  int sig;
  OK(raise(SIGUSR1));
  EXPECT(sigwait(&set, &sig), 0);
  EXPECT(sig, SIGUSR1);

  siginfo_t info;
  FAILS(sigtimedwait(&set, &info, &(struct timespec){0, 0}), EAGAIN);
  long start = now_ms();
  FAILS(sigtimedwait(&set, &info, &(struct timespec){0, 30000000}), EAGAIN);
  CHECK(now_ms() - start >= 29);

  for (int i = 0; i < 5; i++)
    OK(sigqueue(getpid(), SIGRTMIN + 1, (union sigval){.sival_int = 100 + i}));
  OK(sigqueue(getpid(), SIGRTMIN, (union sigval){.sival_int = 7}));
  EXPECT(sigwaitinfo(&set, &info), SIGRTMIN); /* lowest number first */
  EXPECT(info.si_value.sival_int, 7);
  for (int i = 0; i < 5; i++) { /* queued, in order */
    EXPECT(sigwaitinfo(&set, &info), SIGRTMIN + 1);
    CHECK(info.si_value.sival_int == 100 + i && info.si_code == SI_QUEUE &&
          info.si_pid == getpid());
  }
  FAILS(sigtimedwait(&set, &info, &(struct timespec){0, 0}), EAGAIN);

  pid_t parent = getpid(), pid = OK(fork());
  if (pid == 0) {
    sleep_ms(20);
    _exit(sigqueue(parent, SIGUSR1, (union sigval){.sival_int = 55}));
  }
  EXPECT(sigwaitinfo(&set, &info), SIGUSR1);
  CHECK(info.si_pid == pid && info.si_value.sival_int == 55);
  EXPECT_EXIT(pid, 0);
  return done();
}
