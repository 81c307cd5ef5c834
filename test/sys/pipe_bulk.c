/* SPDX-License-Identifier: MIT */
/* 64 MB through a pipe in odd portions arrive complete, in order and unchanged. */
/* test: timeout=120 */
#include "check.h"

enum { TOTAL = 64 << 20 };

int main(void) {
  static unsigned char buf[200000];
  int p[2];
  OK(pipe(p));
  pid_t pid = OK(fork());
  if (pid == 0) {
    OK(close(p[0]));
    uint64_t seed = 42;
    for (long sent = 0; sent < TOTAL;) {
      size_t n = rnd(&seed) % sizeof buf + 1;
      if ((long)n > TOTAL - sent)
        n = (size_t)(TOTAL - sent);
      for (size_t i = 0; i < n; i++)
        buf[i] = (unsigned char)((sent + (long)i) * 31 >> 3);
      EXPECT(write(p[1], buf, n), n);
      sent += (long)n;
    }
    _exit(0);
  }
  OK(close(p[1]));
  long got = 0;
  ssize_t n;
  uint64_t seed = 7;
  while ((n = OK(read(p[0], buf, rnd(&seed) % sizeof buf + 1))) > 0)
    for (ssize_t i = 0; i < n; i++, got++)
      if (buf[i] != (unsigned char)(got * 31 >> 3))
        check_fail(__FILE__, __LINE__, "byte", got);
  EXPECT(got, TOTAL);
  EXPECT_EXIT(pid, 0);
  return done();
}
