/* SPDX-License-Identifier: MIT */
/* Processes that signal each other as fast as they can, forking meanwhile, stay intact. */
/* test: timeout=120 */
#include "check.h"

static volatile int got;
static void handler(int sig) { (void)sig, got++; }

int main(void) {
  handle(SIGUSR1, handler, SA_RESTART);
  pid_t parent = getpid(), pids[4];
  for (int i = 0; i < 4; i++)
    if ((pids[i] = OK(fork())) == 0) {
      for (int k = 0; k < 3000; k++)
        OK(kill(parent, SIGUSR1));
      _exit(0);
    }
  for (int i = 0; i < 100; i++) {
    char *p = malloc((size_t)i * 100 + 1);
    memset(p, i, (size_t)i * 100 + 1);
    IN_CHILD { CHECK(p[i * 100] == (char)i); }
    END_CHILD(0);
    free(p);
  }
  for (int i = 0; i < 4; i++)
    EXPECT_EXIT(pids[i], 0);
  CHECK(got > 0);
  return done();
}
