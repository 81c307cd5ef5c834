/* SPDX-License-Identifier: MIT */
/* What stdio has buffered at fork is in both processes, and both write it. */
#include "check.h"

int main(void) {
  setvbuf(stdout, NULL, _IOFBF, 4096);
  printf("before ");
  pid_t pid = OK(fork());
  if (pid == 0) {
    printf("child\n");
    exit(0);
  }
  EXPECT_EXIT(pid, 0);
  printf("parent\n");
  return 0;
}
