/* SPDX-License-Identifier: MIT */
/* brk: grows and shrinks, new memory is zero, refuses nonsense, is private after fork. */
#include "check.h"
#include <sys/syscall.h>

static char *brk_to(char *p) { return (char *)syscall(SYS_brk, p); }

int main(void) {
  char *start = brk_to(NULL);
  CHECK(start && brk_to(start + 1000000) == start + 1000000);
  for (int i = 0; i < 1000000; i++)
    EXPECT(start[i], 0);
  memset(start, 'b', 1000000);
  CHECK(brk_to(start + 500) == start + 500);
  CHECK(brk_to(start + 300000) == start + 300000);
  EXPECT(start[499], 'b');
  for (int i = 4096 * 2; i < 300000; i++)
    EXPECT(start[i], 0);
  CHECK(brk_to((char *)16) == start + 300000);
  CHECK(brk_to((char *)0x7ffffffff000) == start + 300000);
  IN_CHILD {
    CHECK(brk_to(NULL) == start + 300000 && start[0] == 'b');
    CHECK(brk_to(start + 900000) == start + 900000);
    memset(start, 'c', 900000);
  }
  END_CHILD(0);
  CHECK(brk_to(NULL) == start + 300000 && start[0] == 'b' && start[200000] == 0);
  return done();
}
