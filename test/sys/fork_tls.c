/* SPDX-License-Identifier: MIT */
/* Thread-local variables, in the main thread and in another one that forks. */
#include "check.h"
#include <pthread.h>

static __thread int counter = 40;
static __thread char big[5000];
static __thread int *self = NULL;

static void probe(int expected) {
  counter = expected;
  self = &counter;
  big[4999] = (char)expected;
  IN_CHILD {
    CHECK(counter == expected && self == &counter && big[4999] == (char)expected);
    counter++;
    EXPECT(*self, expected + 1);
    errno = 0;
    CHECK(close(-1) == -1 && errno == EBADF);
  }
  END_CHILD(0);
  CHECK(counter == expected && big[4999] == (char)expected);
}

static void *thread(void *arg) {
  EXPECT(counter, 40);
  CHECK(self == NULL && big[4999] == 0);
  probe(*(int *)arg);
  return NULL;
}

int main(void) {
  EXPECT(counter, 40);
  probe(70);
  for (int i = 0; i < 4; i++) {
    pthread_t t;
    int value = 80 + i;
    EXPECT(pthread_create(&t, NULL, thread, &value), 0);
    EXPECT(pthread_join(t, NULL), 0);
  }
  EXPECT(counter, 70);
  return done();
}
