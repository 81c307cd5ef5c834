/* SPDX-License-Identifier: MIT */
/* vfork: the child runs in the parent's memory until it ends or calls exec; the parent waits. */
#include "check.h"

int main(void) {
  volatile int seen = 0;
  pid_t pid = vfork();
  if (pid == 0) {
    seen = 1;
    sleep_ms(50);
    seen++;
    _exit(6);
  }
  CHECK(pid > 0);
  EXPECT(seen, 2);
  EXPECT_EXIT(pid, 6);
  return done();
}
