/* SPDX-License-Identifier: MIT */
/* What the first processes of measuring machines say on the console when they cannot go on. */
#ifndef BENCH_PC_CONSOLE_H
#define BENCH_PC_CONSOLE_H

#include <stdio.h>
#include <unistd.h>

/* Says so and sleeps: the machine is ended from outside. */
static inline _Noreturn void fail(const char *what) {
  perror(what);
  printf("@@ failed %s\n", what);
  fflush(stdout);
  for (;;)
    pause();
}

#endif
