/* SPDX-License-Identifier: MIT */
/* The first process of a machine whose boot is measured: it says that it is there. */
#include <stdio.h>
#include <unistd.h>

int main(void) {
  puts("@@ first");
  fflush(stdout);
  for (;;)
    pause();
}
