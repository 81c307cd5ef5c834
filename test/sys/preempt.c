/* SPDX-License-Identifier: MIT */
/* Processes that never make a system call do not keep others from running, alone or in crowds. */
/* test: timeout=120 */
#include "check.h"

int main(void) {
  pid_t spinners[6];
  for (int i = 0; i < 6; i++)
    if ((spinners[i] = OK(fork())) == 0)
      for (;;)
        __asm__ volatile("");
  for (int i = 0; i < 20; i++) { /* a test that hangs fails */
    sleep_ms(1);
    int p[2];
    OK(pipe(p));
    IN_CHILD { tell(p[1]); }
    END_CHILD(0);
    await(p[0]);
    OK(close(p[0])), OK(close(p[1]));
  }
  for (int i = 0; i < 6; i++)
    OK(kill(spinners[i], SIGKILL));
  for (int i = 0; i < 6; i++)
    EXPECT_SIGNAL(spinners[i], SIGKILL);
  return done();
}
