/* SPDX-License-Identifier: MIT */
/*
 * idle COUNT: forks COUNT children that touch what a small program touches and then sleep; prints
 * `ready 0` before and `ready COUNT` after and waits for a line of input each time, so that the
 * harness can measure the memory of all between.
 */
#include "measure.h"

static void pause_for_harness(int count) {
  char line[16];
  printf("ready %d\n", count);
  fflush(stdout);
  if (!fgets(line, sizeof line, stdin))
    exit(1);
}

int main(int argc, char **argv) {
  int count = argc > 1 ? atoi(argv[1]) : 100;
  int gate[2];
  if (pipe(gate))
    fail("pipe");
  for (int i = 0; i < 8; i++) { /* whatever a first fork allocates for good is no one's */
    pid_t pid = fork();
    if (pid == 0)
      _exit(0);
    reap(pid);
  }
  pause_for_harness(0);
  for (int i = 0; i < count; i++) {
    pid_t pid = fork();
    if (pid < 0)
      fail("fork");
    if (pid == 0) {
      char c, text[64];
      snprintf(text, sizeof text, "hello from %d", i);
      close(gate[1]);
      _exit(read(gate[0], &c, 1) != 0 || text[0] != 'h');
    }
  }
  struct timespec settle = {0, 300000000};
  nanosleep(&settle, NULL);
  pause_for_harness(count);
  close(gate[1]);
  for (int i = 0; i < count; i++)
    if (wait(NULL) < 0)
      fail("wait");
  return 0;
}
