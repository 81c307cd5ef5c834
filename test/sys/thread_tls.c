/* SPDX-License-Identifier: MIT */
/* Thread-local data: keys with destructors, which may set values again, all keys there are,
   __thread variables with initial values and alignment, and what fork makes of both. */
#include "check.h"
#include <limits.h>
#include <pthread.h>

static pthread_key_t again, plain, deleted, bare;
static int again_calls, plain_calls, deleted_calls; /* of the destructors; one thread at a time */

static void destroy_again(void *value) {
  again_calls++;
  CHECK(pthread_getspecific(again) == NULL); /* it is cleared before */
  if ((intptr_t)value > 1)
    EXPECT(pthread_setspecific(again, (void *)((intptr_t)value - 1)), 0);
}
static void destroy_plain(void *value) {
  CHECK(value == &plain_calls);
  plain_calls++;
}
static void destroy_deleted(void *value) {
  (void)value;
  deleted_calls++;
}

static __thread int initial = 77;
static __thread char zeroed[5000];
static __thread struct { char c; } __attribute__((aligned(64))) aligned_one = {5};
static __thread int *self_pointer;

static void *use(void *arg) {
  EXPECT(initial, 77);
  for (size_t i = 0; i < sizeof zeroed; i++)
    EXPECT(zeroed[i], 0);
  EXPECT((uintptr_t)&aligned_one % 64, 0);
  EXPECT(aligned_one.c, 5);
  initial = 1, zeroed[4999] = 1, aligned_one.c = 1, self_pointer = &initial;
  CHECK(pthread_getspecific(again) == NULL && pthread_getspecific(plain) == NULL);
  EXPECT(pthread_setspecific(again, arg), 0);
  EXPECT(pthread_setspecific(plain, &plain_calls), 0);
  EXPECT(pthread_setspecific(deleted, &plain_calls), 0);
  EXPECT(pthread_setspecific(bare, &plain_calls), 0);
  CHECK(pthread_getspecific(again) == arg);
  return NULL;
}

static void *end_by_exit(void *arg) {
  use(arg);
  pthread_exit(arg);
}
static void *end_by_cancel(void *arg) {
  use(arg);
  for (;;)
    pause();
  return arg;
}

static void run(void *(*f)(void *), intptr_t value, int calls) {
  pthread_t t;
  again_calls = plain_calls = 0;
  EXPECT(pthread_create(&t, NULL, f, (void *)value), 0);
  if (f == end_by_cancel)
    EXPECT(pthread_cancel(t), 0);
  EXPECT(pthread_join(t, NULL), 0);
  if (f == end_by_cancel && again_calls == 0)
    return; /* cancelled before it began is fine, too */
  EXPECT(again_calls, calls);
  EXPECT(plain_calls, 1);
}

static void *fill_keys(void *arg) {
  pthread_key_t *k = arg;
  for (int i = 0; i < 100; i++)
    EXPECT(pthread_setspecific(k[i], &k[i]), 0);
  return NULL;
}

static int counted[100];
static pthread_key_t many[PTHREAD_KEYS_MAX + 1];
static void count(void *value) { counted[(pthread_key_t *)value - many]++; }

static void all_keys(void) {
  int n = 0;
  pthread_t t;
  while (pthread_key_create(&many[n], count) == 0)
    CHECK(++n <= PTHREAD_KEYS_MAX);
  CHECK(n >= 100);
  EXPECT(pthread_key_create(&many[n], NULL), EAGAIN);
  EXPECT(pthread_create(&t, NULL, fill_keys, many), 0);
  EXPECT(pthread_join(t, NULL), 0);
  for (int i = 0; i < 100; i++)
    EXPECT(counted[i], 1);
  EXPECT(pthread_setspecific(many[3], "old"), 0);
  for (int i = 0; i < n; i++)
    EXPECT(pthread_key_delete(many[i]), 0);
  EXPECT(pthread_key_create(&many[0], NULL), 0); /* what it had before is gone */
  CHECK(pthread_getspecific(many[0]) == NULL);
  EXPECT(pthread_key_delete(many[0]), 0);
}

/* Through fork the calling thread's values are the child's; nobody else's destructors run. */
static void *fork_here(void *arg) {
  initial = 5, self_pointer = &initial;
  EXPECT(pthread_setspecific(plain, &plain_calls), 0);
  IN_CHILD {
    EXPECT(initial, 5);
    CHECK(self_pointer == &initial);
    CHECK(pthread_getspecific(plain) == &plain_calls);
    EXPECT(plain_calls, 0);
    initial = 6;
    run(use, 2, 2);
    EXPECT(initial, 6);
  }
  END_CHILD(0);
  EXPECT(initial, 5);
  return arg;
}

int main(void) {
  EXPECT(pthread_key_create(&again, destroy_again), 0);
  EXPECT(pthread_key_create(&plain, destroy_plain), 0);
  EXPECT(pthread_key_create(&bare, NULL), 0);
  EXPECT(pthread_key_create(&deleted, destroy_deleted), 0);
  EXPECT(pthread_key_delete(deleted), 0);
  EXPECT(pthread_key_create(&deleted, destroy_deleted), 0);
  run(use, 1, 1);
  run(use, 3, 3);
  EXPECT(deleted_calls, 2);
  run(use, 1000000, PTHREAD_DESTRUCTOR_ITERATIONS); /* for ever: stopped */
  run(end_by_exit, 2, 2);
  for (int i = 0; i < 50; i++)
    run(end_by_cancel, 2, 2);
  EXPECT(initial, 77); /* the main thread's own */
  all_keys();
  pthread_t t;
  plain_calls = 0;
  EXPECT(pthread_create(&t, NULL, fork_here, NULL), 0);
  EXPECT(pthread_join(t, NULL), 0);
  EXPECT(plain_calls, 1);
  return done();
}
