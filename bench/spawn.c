/* SPDX-License-Identifier: MIT */
/* spawn COUNT: Unixbench's spawn: fork, the child exits, the parent waits, COUNT times. */
#include "measure.h"

int main(int argc, char **argv) {
  int count = argc > 1 ? atoi(argv[1]) : 1000;
  double start = now_us();
  for (int i = 0; i < count; i++) {
    pid_t pid = fork();
    if (pid == 0)
      exit(0);
    if (pid < 0)
      fail("fork");
    reap(pid);
  }
  report("spawn_1000", "ms", (now_us() - start) / 1e3 / count * 1000);
  return 0;
}
