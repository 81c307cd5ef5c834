/* SPDX-License-Identifier: MIT */
/* A started va_list goes on in the child and in the parent from the same argument. */
#include "check.h"
#include <stdarg.h>

static void spread(int n, ...) {
  va_list list, copy;
  va_start(list, n);
  va_copy(copy, list);
  EXPECT(va_arg(list, int), 1);
  CHECK(va_arg(list, double) == 2.5);
  IN_CHILD {
    EXPECT(va_arg(list, long), 3L << 40);
    CHECK(!strcmp(va_arg(list, char *), "four"));
    CHECK(va_arg(list, double) == 5.5);
    for (int i = 6; i < 12; i++)
      EXPECT(va_arg(list, int), i);
    EXPECT(va_arg(copy, int), 1);
  }
  END_CHILD(0);
  EXPECT(va_arg(list, long), 3L << 40);
  CHECK(!strcmp(va_arg(list, char *), "four"));
  va_end(copy);
  va_end(list);
}

int main(void) {
  spread(11, 1, 2.5, 3L << 40, "four", 5.5, 6, 7, 8, 9, 10, 11);
  return done();
}
