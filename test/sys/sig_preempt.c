/* SPDX-License-Identifier: MIT */
/* Signals interrupt code that makes no system calls, at any instruction, and it goes on unharmed.
 */
#include "check.h"
#include <sys/time.h>

static volatile int ticks;
static void tick(int sig) { (void)sig, ticks++; }

static uint64_t mix(uint64_t seed, int n) {
  char buf[64], copy[64];
  double d = 1.0;
  for (int i = 0; i < n; i++) {
    memset(buf, (int)seed & 255, sizeof buf);
    memcpy(copy, buf, sizeof copy);
    seed = (seed * 6364136223846793005u + 1442695040888963407u) ^ (uint64_t)copy[i & 63];
    d = d * 0.999 + (double)(seed & 7);
  }
  return seed ^ (uint64_t)(d * 1000);
}

int main(void) {
  uint64_t expected = mix(1, 3000000);
  handle(SIGALRM, tick, SA_RESTART);
  struct itimerval fast = {{0, 500}, {0, 500}}, off = {{0, 0}, {0, 0}};
  OK(setitimer(ITIMER_REAL, &fast, NULL));
  for (int i = 0; i < 10 || ticks <= 20; i++)
    CHECK(mix(1, 3000000) == expected);
  OK(setitimer(ITIMER_REAL, &off, NULL));
  return done();
}
