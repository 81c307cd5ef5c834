/* SPDX-License-Identifier: MIT */
/* A fork bomb stops at RLIMIT_NPROC with EAGAIN, and everything is usable afterwards. */
/* test: timeout=120 */
#include "check.h"
#include <sys/resource.h>

int main(void) {
  IN_CHILD {
    struct rlimit limit = {60, 60};
    OK(setrlimit(RLIMIT_NPROC, &limit));
    if (geteuid() == 0) { /* on Linux the limit does not bind root */
      OK(setgid(54321));
      OK(setuid(54321));
    }
    int children = 0, refused = 0;
    while (!refused && children < 200) {
      pid_t pid = fork();
      if (pid == 0)
        for (;;)
          pause();
      if (pid == -1) {
        EXPECT(errno, EAGAIN);
        refused = 1;
      } else {
        children++;
      }
    }
    EXPECT(refused, 1);
    CHECK(children >= 40 && children <= 60);
    signal(SIGTERM, SIG_IGN);
    OK(kill(-getpgrp(), SIGTERM) * 0);
    for (int i = 0; i < children; i++)
      CHECK(WIFSIGNALED(({
        int s;
        OK(wait(&s));
        s;
      })));
    IN_CHILD {}
    END_CHILD(0);
  }
  END_CHILD(0);
  return done();
}
