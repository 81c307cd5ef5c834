/* SPDX-License-Identifier: MIT */
/* Switches through jump tables and computed gotos work on both sides of a fork. */
#include "check.h"

static int dispatch(unsigned op, int x) {
  switch (op) {
  case 0:
    return x + 3;
  case 1:
    return x * 5;
  case 2:
    return x - 7;
  case 3:
    return x ^ 0x55;
  case 4:
    return x << 2;
  case 5:
    return ~x;
  case 6:
    return x / 3;
  case 7:
    return x % 11;
  default:
    return -1;
  }
}

static int interpret(const unsigned char *code) {
  static void *labels[] = {&&inc, &&twice, &&split, &&stop};
  int acc = 1;
  goto *labels[*code];
inc:
  acc++;
  goto *labels[*++code];
twice:
  acc *= 2;
  goto *labels[*++code];
split : {
  pid_t pid = OK(fork());
  if (pid) {
    EXPECT_EXIT(pid, 2 * acc + 1);
    return acc;
  }
  goto *labels[*++code];
}
stop:
  _exit(acc);
}

int main(void) {
  volatile unsigned ops = 9;
  int sum = 0;
  for (unsigned i = 0; i < ops; i++)
    sum += dispatch(i, 100);
  IN_CHILD {
    int again = 0;
    for (unsigned i = 0; i < ops; i++)
      again += dispatch(i, 100);
    EXPECT(again, sum);
  }
  END_CHILD(0);
  static const unsigned char code[] = {0, 1, 0, 2, 1, 0, 3};
  EXPECT(interpret(code), 5);
  return done();
}
