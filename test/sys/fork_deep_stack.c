/* SPDX-License-Identifier: MIT */
/* fork with a megabyte of live frames: the child unwinds all of them, all values intact. */
#include "check.h"

static unsigned long __attribute__((noinline)) down(int level, unsigned long seed, pid_t *pid) {
  volatile unsigned long frame[64];
  for (int i = 0; i < 64; i++)
    frame[i] = seed * 31 + (unsigned long)i;
  if (level == 0)
    *pid = OK(fork());
  unsigned long below = level ? down(level - 1, seed + 1, pid) : 0;
  for (int i = 0; i < 64; i++)
    CHECK(frame[i] == seed * 31 + (unsigned long)i);
  return below + frame[63];
}

int main(void) {
  pid_t pid;
  unsigned long sum = down(2000, 1, &pid);
  unsigned long expected = 0;
  for (unsigned long s = 1; s <= 2001; s++)
    expected += s * 31 + 63;
  CHECK(sum == expected);
  if (pid == 0)
    _exit(4);
  EXPECT_EXIT(pid, 4);
  return done();
}
