/* SPDX-License-Identifier: MIT */
/* What pairing.h expects after what it has seen. */
#include "kernel/test/fake/check_once.h"
#include "plat/hosted/pairing.h"
#include <stdio.h>

/* Pairs until the next is expected, at most `most`. */
static unsigned learn(struct pairing *p, unsigned most) {
  unsigned n = 0;
  for (; n < most && !pairing_expected(p); n++)
    pairing_followed(p);
  return n;
}

static void first_and_doubts(void) {
  struct pairing p = {0};
  CHECK(!pairing_expected(&p));
  for (unsigned doubt = 0; doubt < PAIRING_DOUBTS + 3; doubt++) {
    unsigned wanted = (unsigned)PAIRING_FIRST << (doubt < PAIRING_DOUBTS ? doubt : PAIRING_DOUBTS);
    CHECK(learn(&p, 100000) == wanted);
    pairing_alone(&p, true);
    CHECK(!pairing_expected(&p));
  }
}

/* What comes alone before it was expected costs the run, and no more. */
static void learning(void) {
  struct pairing p = {0};
  for (int i = 0; i < 100; i++) {
    for (int k = 0; k < PAIRING_FIRST - 1; k++)
      pairing_followed(&p);
    CHECK(!pairing_expected(&p));
    pairing_alone(&p, false);
  }
  CHECK(learn(&p, 1000) == PAIRING_FIRST);
  pairing_alone(&p, false);
  CHECK(learn(&p, 1000) == PAIRING_FIRST);
}

/* Pairs that keep coming take the doubts away, and are expected all the while. */
static void forgiving(void) {
  struct pairing p = {0};
  for (int i = 0; i < PAIRING_DOUBTS; i++)
    pairing_alone(&p, true);
  CHECK(learn(&p, 100000) == (unsigned)PAIRING_FIRST << PAIRING_DOUBTS);
  for (unsigned n = 0; n < 3u * PAIRING_FIRST << PAIRING_DOUBTS; n++) {
    pairing_followed(&p);
    CHECK(pairing_expected(&p));
  }
  pairing_alone(&p, true); /* the first doubt of a new count */
  CHECK(learn(&p, 100000) == 2 * PAIRING_FIRST);
}

/* One that has settled is not written. */
static void settled(void) {
  struct pairing p = {0};
  learn(&p, 1000);
  struct pairing before = p;
  for (int i = 0; i < 100000; i++)
    pairing_followed(&p);
  CHECK(p.run == before.run && p.doubt == before.doubt);
}

int main(void) {
  first_and_doubts();
  learning();
  forgiving();
  settled();
  printf("pairing_test: ok\n");
  return 0;
}
