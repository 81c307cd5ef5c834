/* SPDX-License-Identifier: MIT */
/* fork in a process with threads: the child has the caller's thread alone, and memory as it was. */
#include "check.h"
#include <pthread.h>
#include <stdatomic.h>

static atomic_long beats;
static atomic_int stop;

static void *beat(void *arg) {
  (void)arg;
  while (!stop)
    atomic_fetch_add(&beats, 1);
  return NULL;
}

static void *forker(void *arg) {
  (void)arg;
  for (int i = 0; i < 20; i++)
    IN_CHILD {
      long n = beats;
      sleep_ms(2);
      EXPECT(beats, n); /* nobody beats here */
      free(malloc(1000));
    }
  END_CHILD(0);
  return NULL;
}

int main(void) {
  pthread_t threads[3], f;
  for (int i = 0; i < 3; i++)
    EXPECT(pthread_create(&threads[i], NULL, beat, NULL), 0);
  EXPECT(pthread_create(&f, NULL, forker, NULL), 0);
  EXPECT(pthread_join(f, NULL), 0);
  long n = beats;
  while (beats == n) /* a test that hangs fails */
    sleep_ms(1);
  stop = 1;
  for (int i = 0; i < 3; i++)
    EXPECT(pthread_join(threads[i], NULL), 0);
  return done();
}
