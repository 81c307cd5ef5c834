/* SPDX-License-Identifier: MIT */
/* A parent that forks again and again, while earlier children live, gives each its own snapshot. */
/* test: timeout=120 */
#include "check.h"

enum { PAGES = 4096, SNAPSHOTS = 12 };

int main(void) {
  uint32_t *heap = malloc((size_t)PAGES * 4096);
  uint64_t seed = 88172645463325252u;
  int sync[2];
  OK(pipe(sync));
  for (uint32_t p = 0; p < PAGES; p++)
    heap[p * 1024] = 0;
  for (uint32_t s = 0; s < SNAPSHOTS; s++) {
    if (OK(fork()) == 0) {
      uint64_t sum = 0, again = 0;
      for (uint32_t p = 0; p < PAGES; p++)
        sum += heap[p * 1024];
      await(sync[0]);
      for (uint32_t p = 0; p < PAGES; p++)
        again += heap[p * 1024];
      CHECK(sum == again && sum == (uint64_t)s * 500);
      _exit(0);
    }
    for (int i = 0; i < 500; i++) /* 500 increments between two forks */
      heap[rnd(&seed) % PAGES * 1024]++;
    if (s % 4 == 2) { /* some end early */
      tell(sync[1]);
      int status;
      OK(wait(&status));
      EXPECT(status, 0);
    }
  }
  for (int s = 0; s < SNAPSHOTS - SNAPSHOTS / 4; s++)
    tell(sync[1]);
  int status;
  while (wait(&status) > 0)
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  return done();
}
