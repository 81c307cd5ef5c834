/* SPDX-License-Identifier: MIT */
/* test: cflags=-lm */
/* Floating-point and vector registers, rounding mode and MXCSR go through fork and preemption. */
#include "check.h"
#include <fenv.h>

static double spin(double x, int n) {
  for (int i = 0; i < n; i++)
    x = x * 1.0000001 + 0.5 / x;
  return x;
}

int main(void) {
  double expected = spin(1.25, 3000000);
  for (int i = 0; i < 4; i++)
    if (OK(fork()) == 0)
      _exit(spin(1.25, 3000000) == expected ? 0 : 1);
  CHECK(spin(1.25, 3000000) == expected);
  int status;
  for (int i = 0; i < 4; i++) {
    OK(wait(&status));
    EXPECT(status, 0);
  }
  EXPECT(fesetround(FE_UPWARD), 0);
  IN_CHILD { EXPECT(fegetround(), FE_UPWARD); }
  END_CHILD(0);
  EXPECT(fegetround(), FE_UPWARD);
  return done();
}
