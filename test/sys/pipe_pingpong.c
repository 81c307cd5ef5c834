/* SPDX-License-Identifier: MIT */
/* 20,000 exchanges between parent and child, and a ring of 20 processes. */
/* test: timeout=120 */
#include "check.h"

enum { ROUNDS = 20000, RING = 20, LAPS = 200 };

static void ring(void) {
  int first[2], in, out[2];
  OK(pipe(first));
  in = first[0];
  for (int i = 0; i < RING; i++) {
    OK(pipe(out));
    if (OK(fork()) == 0) {
      int token;
      for (int lap = 0; lap < LAPS; lap++) {
        EXPECT(read(in, &token, sizeof token), sizeof token);
        token++;
        EXPECT(write(out[1], &token, sizeof token), sizeof token);
      }
      _exit(0);
    }
    OK(close(in));
    OK(close(out[1]));
    in = out[0];
  }
  int token = 0;
  for (int lap = 0; lap < LAPS; lap++) {
    EXPECT(write(first[1], &token, sizeof token), sizeof token);
    EXPECT(read(in, &token, sizeof token), sizeof token);
  }
  EXPECT(token, RING * LAPS);
  int status;
  while (wait(&status) > 0)
    EXPECT(status, 0);
}

int main(void) {
  int a[2], b[2];
  OK(pipe(a)), OK(pipe(b));
  pid_t pid = OK(fork());
  for (int i = 0; i < ROUNDS; i++) {
    int n;
    if (pid) {
      EXPECT(write(a[1], &i, sizeof i), sizeof i);
      EXPECT(read(b[0], &n, sizeof n), sizeof n);
    } else {
      EXPECT(read(a[0], &n, sizeof n), sizeof n);
      EXPECT(write(b[1], &n, sizeof n), sizeof n);
    }
    EXPECT(n, i);
  }
  if (pid == 0)
    _exit(0);
  EXPECT_EXIT(pid, 0);
  ring();
  return done();
}
