/* SPDX-License-Identifier: MIT */
/*
 * Two processes run at the same time. They answer each other through shared memory, without a
 * system call. On one CPU every answer costs the one that waits a preemption, for which it has to
 * use up its time: many answers in a row, each after a short wait, mean two CPUs. On one CPU they
 * must not happen, which shows that the measure is right.
 */
/* test: timeout=120 */
#include "check.h"
#include <stdatomic.h>
#include <sys/mman.h>

#define SHORT                                                                                      \
  1000 /* looks at the other's counter: some microseconds, a thousandth of a time slice */
#define IN_A_ROW 100
#define ALONE 40 /* answers, if there is one CPU */

struct exchange {
  _Atomic unsigned long ask __attribute__((aligned(64)));
  _Atomic unsigned long answer __attribute__((aligned(64)));
};

static _Noreturn void answer(struct exchange *x) {
  for (;;) {
    unsigned long k = x->ask;
    if (x->answer != k)
      x->answer = k;
  }
}

/* How many looks it took. */
static unsigned long ask(struct exchange *x, unsigned long k) {
  unsigned long looks = 0;
  x->ask = k;
  while (x->answer != k)
    looks++;
  return looks;
}

/* The longest row of short waits, until there is one of IN_A_ROW or there were so many answers. */
static unsigned long longest_row(struct exchange *x, unsigned long answers) {
  static unsigned long k;
  unsigned long row = 0, longest = 0;
  for (unsigned long n = 0; longest < IN_A_ROW && n < answers; n++) {
    row = ask(x, ++k) <= SHORT ? row + 1 : 0;
    longest = row > longest ? row : longest;
  }
  return longest;
}

int main(void) {
  long cpus = OK(sysconf(_SC_NPROCESSORS_ONLN));
  struct exchange *x = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  CHECK(x != MAP_FAILED);
  pid_t other = OK(fork());
  if (other == 0)
    answer(x);
  if (cpus > 1) {
    EXPECT(longest_row(x, ~0ul), IN_A_ROW);
  } else { /* a starved CPU may have no time left when it comes to run, now and then */
    int tries = 0;
    while (longest_row(x, ALONE) >= ALONE / 2)
      CHECK(++tries < 20);
  }
  OK(kill(other, SIGKILL));
  EXPECT_SIGNAL(other, SIGKILL);
  return done();
}
