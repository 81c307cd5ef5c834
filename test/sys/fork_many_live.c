/* SPDX-License-Identifier: MIT */
/* 1,000 children alive at once, each with memory of its own. */
/* test: timeout=120 */
#include "check.h"

enum { CHILDREN = 1000 };

int main(void) {
  static pid_t pids[CHILDREN];
  int gate[2], back[2];
  OK(pipe(gate)), OK(pipe(back));
  unsigned *heap = malloc(16 * sizeof *heap);
  for (unsigned i = 0; i < CHILDREN; i++) {
    heap[i % 16] = i;
    if ((pids[i] = OK(fork())) == 0) {
      OK(close(gate[1]));
      heap[(i + 1) % 16] = ~i;
      char end;
      EXPECT(read(gate[0], &end, 1), 0); /* until the parent has forked them all */
      CHECK(heap[i % 16] == i && heap[(i + 1) % 16] == ~i);
      EXPECT(write(back[1], &i, sizeof i), sizeof i);
      _exit((int)(i % 100));
    }
  }
  for (int i = 0; i < CHILDREN; i++)
    EXPECT(kill(pids[i], 0), 0);
  OK(close(gate[1]));
  unsigned long sum = 0;
  for (int i = 0; i < CHILDREN; i++) {
    unsigned n;
    EXPECT(read(back[0], &n, sizeof n), sizeof n);
    sum += n;
  }
  EXPECT(sum, CHILDREN * (CHILDREN - 1) / 2);
  for (int i = 0; i < CHILDREN; i++)
    EXPECT_EXIT(pids[i], i % 100);
  FAILS(wait(NULL), ECHILD);
  return done();
}
