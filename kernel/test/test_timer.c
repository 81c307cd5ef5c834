/* SPDX-License-Identifier: MIT */
/* The timers' heap against a plain array, with random arming, re-arming and cancelling. */
#include "kernel/test/fake/check.h"
#include "kernel/test/fake/fake.h"
#include "kernel/time/timer.h"
#include <stdlib.h>

#define TIMERS 300
#define STEPS 60000

/* The scheduler is linked for its fake only. */
static struct ktimer timers[TIMERS];
static u64 expected[TIMERS]; /* deadline, 0: not armed */
static u64 now_, last_fired;
static unsigned fired;

static void on_fire(struct ktimer *t) {
  long i = t - timers;
  CHECK(expected[i] == t->deadline);
  CHECK(t->deadline <= now_);
  CHECK(t->deadline >= last_fired);
  last_fired = t->deadline;
  expected[i] = 0;
  fired++;
}

static u64 earliest(void) {
  u64 min = UINT64_MAX;
  for (int i = 0; i < TIMERS; i++)
    if (expected[i] && expected[i] < min)
      min = expected[i];
  return min;
}

static void random_operations(void) {
  for (int i = 0; i < TIMERS; i++)
    ktimer_init(&timers[i], on_fire);
  now_ = 1;
  srand(42);
  for (int step = 0; step < STEPS; step++) {
    int i = rand() % TIMERS;
    switch (rand() % 4) {
    case 0:
    case 1:
      expected[i] = now_ + (u64)(rand() % 1000) + 1;
      ktimer_arm(&timers[i], expected[i]);
      break;
    case 2:
      CHECK(ktimer_cancel(&timers[i]) == (expected[i] != 0));
      expected[i] = 0;
      break;
    default:
      now_ += (u64)(rand() % 40);
      last_fired = 0;
      ktimer_run(now_);
      CHECK(earliest() > now_);
    }
    CHECK(ktimer_next() == earliest());
    if (check_bad)
      return;
  }
  CHECK(fired > STEPS / 20);
  now_ = UINT64_MAX - 1;
  last_fired = 0;
  ktimer_run(now_);
  CHECK(earliest() == UINT64_MAX && ktimer_next() == UINT64_MAX);
}

static unsigned rearmed;
static void rearm(struct ktimer *t) {
  if (++rearmed < 5)
    ktimer_arm(t, t->deadline + 10);
}

static void rearm_in_callback(void) {
  struct ktimer t;
  ktimer_init(&t, rearm);
  ktimer_arm(&t, 100);
  CHECK(ktimer_run(99) == 100);
  CHECK(rearmed == 0);
  CHECK(ktimer_run(125) == 130); /* 100, 110, 120 */
  CHECK(rearmed == 3);
  CHECK(ktimer_cancel(&t));
  CHECK(!ktimer_cancel(&t));
  CHECK(ktimer_run(1000) == UINT64_MAX);
  CHECK(rearmed == 3);
}

static void nothing(struct ktimer *t) { (void)t; }

/* When the earliest timer has fired, the platform must be told of the one behind it: no CPU may
   ever ask again by itself. */
static void next_is_announced(void) {
  struct ktimer a, b;
  ktimer_init(&a, nothing);
  ktimer_init(&b, nothing);
  ktimer_arm(&a, 100);
  ktimer_arm(&b, 200);
  CHECK(fake_timer_deadline == 100);
  CHECK(ktimer_run(150) == 200);
  CHECK(fake_timer_deadline == 200);
  ktimer_arm(&a, 300);
  CHECK(fake_timer_deadline == 200);
  CHECK(ktimer_run(250) == 300);
  CHECK(fake_timer_deadline == 300);
  CHECK(ktimer_cancel(&a));
}

int main(void) {
  TEST(random_operations);
  TEST(rearm_in_callback);
  TEST(next_is_announced);
  return check_summary("test_timer");
}
