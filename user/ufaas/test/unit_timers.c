// SPDX-License-Identifier: MIT
#include "../loop.h"
#include "unit.h"

#define COUNT 500

static struct timer timers[COUNT];
static int fired, wanted;
static int64_t last;

static void fire(struct timer *timer) {
  check(timer->when >= last, "out of order");
  check(!timer->place, "still set when it fires");
  last = timer->when;
  if (++fired == wanted)
    loop_stop();
}

static void nothing(void) {}

/* Sets, moves and clears timers at random; those that are left fire in order. */
void test_timers(void) {
  check(loop_init() == 0, "loop_init");
  srand(7);
  int64_t start = loop_clock();
  for (int i = 0; i < COUNT; i++) {
    timers[i].fire = fire;
    timer_set(&timers[i], start + rand() % 1000);
  }
  for (int i = 0; i < 5000; i++) {
    struct timer *t = &timers[rand() % COUNT];
    if (rand() % 3 == 0)
      timer_clear(t);
    else
      timer_set(t, start + rand() % 1000000);
  }
  for (int i = 0; i < COUNT; i++)
    wanted += timers[i].place != 0;
  loop_run(nothing);
  check(fired == wanted, "%d of %d", fired, wanted);
}
