/* SPDX-License-Identifier: MIT */
/* Many forks in sequence and at once: no PID, region or memory is lost on the way. */
/* test: timeout=120 */
#include "check.h"

int main(void) {
  for (int i = 0; i < 3000; i++)
    EXPECT_EXIT(({
                  pid_t p = OK(fork());
                  if (p == 0)
                    _exit(i & 63);
                  p;
                }),
                i & 63);
  for (int round = 0; round < 20; round++) {
    for (int i = 0; i < 50; i++)
      if (OK(fork()) == 0)
        _exit(0);
    for (int i = 0; i < 50; i++)
      OK(wait(NULL));
  }
  FAILS(wait(NULL), ECHILD);
  return done();
}
