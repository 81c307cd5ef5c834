/* SPDX-License-Identifier: MIT */
/* exec resets handlers to default, keeps ignored signals, mask and pending ones, and drops memory.
 */
#include "check.h"
#include <sys/mman.h>

static void handler(int sig) { (void)sig; }

int main(int argc, char **argv) {
  (void)argv;
  struct sigaction sa;
  sigset_t set;
  if (argc > 1) {
    OK(sigaction(SIGUSR1, NULL, &sa));
    CHECK(sa.sa_handler == SIG_DFL);
    OK(sigaction(SIGUSR2, NULL, &sa));
    CHECK(sa.sa_handler == SIG_IGN);
    OK(sigprocmask(0, NULL, &set));
    CHECK(sigismember(&set, SIGHUP) && !sigismember(&set, SIGINT));
    OK(sigpending(&set));
    CHECK(sigismember(&set, SIGHUP));
    stack_t ss;
    OK(sigaltstack(NULL, &ss));
    EXPECT(ss.ss_flags, SS_DISABLE);
    return done();
  }
  static char stack[16384];
  OK(sigaltstack(&(stack_t){.ss_sp = stack, .ss_size = sizeof stack}, NULL));
  handle(SIGUSR1, handler, 0);
  signal(SIGUSR2, SIG_IGN);
  sigemptyset(&set);
  sigaddset(&set, SIGHUP);
  OK(sigprocmask(SIG_BLOCK, &set, NULL));
  OK(kill(getpid(), SIGHUP));
  execl("/proc/self/exe", "x", "again", NULL);
  CHECK(!"execl returned");
}
