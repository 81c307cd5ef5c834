/* SPDX-License-Identifier: MIT */
/* The allocator's own state survives fork: parent, child and grandchild go on allocating at random.
 */
/* test: timeout=120 */
#include "check.h"

enum { BLOCKS = 500, STEPS = 20000 };

static struct {
  unsigned char *p;
  size_t n;
  unsigned char fill;
} block[BLOCKS];

static void verify(int i) {
  for (size_t k = 0; k < block[i].n; k++)
    EXPECT(block[i].p[k], block[i].fill);
}

static void churn(uint64_t seed, int steps) {
  for (int s = 0; s < steps; s++) {
    int i = (int)(rnd(&seed) % BLOCKS);
    verify(i);
    size_t n = rnd(&seed) % (rnd(&seed) % 50 ? 600 : 300000);
    if (rnd(&seed) % 3) {
      free(block[i].p);
      block[i].p = malloc(n);
    } else {
      block[i].p = realloc(block[i].p, n ? n : 1);
    }
    CHECK(block[i].p || !n);
    block[i].n = n;
    block[i].fill = (unsigned char)rnd(&seed);
    memset(block[i].p, block[i].fill, n);
  }
}

int main(void) {
  churn(1, STEPS);
  for (uint64_t round = 0; round < 6; round++) {
    pid_t pid = OK(fork());
    if (pid == 0) {
      churn(round + 10, STEPS / 4);
      IN_CHILD { churn(round + 20, STEPS / 4); }
      END_CHILD(0);
      churn(round + 30, STEPS / 4);
      _exit(0);
    }
    churn(round + 40, STEPS / 4);
    EXPECT_EXIT(pid, 0);
  }
  for (int i = 0; i < BLOCKS; i++)
    verify(i);
  return done();
}
