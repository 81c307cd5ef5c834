/* SPDX-License-Identifier: MIT */
/* test: cflags=-Wno-infinite-recursion */
/* A jump buffer filled before fork leads back to the same frame in the child, and in the parent. */
#include "check.h"
#include <setjmp.h>

static jmp_buf before;

static void deeper(int levels, int value) {
  volatile char frame[200];
  frame[0] = (char)levels;
  if (levels)
    deeper(levels - 1, value);
  longjmp(before, value + frame[0]);
}

int main(void) {
  volatile pid_t pid = -1;
  volatile int kept = 11;
  int value = setjmp(before);
  if (value == 0) {
    pid = OK(fork());
    if (pid == 0)
      deeper(20, 5);
    deeper(10, 6);
  }
  EXPECT(kept, 11);
  if (pid == 0)
    _exit(value == 5 ? 21 : 1);
  EXPECT(value, 6);
  EXPECT_EXIT(pid, 21);
  return done();
}
