/* SPDX-License-Identifier: MIT */
/* Thread-directed signals reach that thread; masks are per thread; process signals any that may. */
#include "check.h"
#include <pthread.h>

static volatile pthread_t handled_by;
static volatile int count;
static void handler(int sig) {
  (void)sig;
  handled_by = pthread_self();
  count++;
}

static int sync_pipe[2];

static void *sleeper(void *arg) {
  (void)arg;
  char c;
  EXPECT(read(sync_pipe[0], &c, 1), 1);
  return NULL;
}

static void expect_count(int n) {
  while (count < n) /* a test that hangs fails */
    sleep_ms(1);
  EXPECT(count, n);
}

int main(void) {
  OK(pipe(sync_pipe));
  handle(SIGUSR1, handler, SA_RESTART);
  pthread_t a, b;
  EXPECT(pthread_create(&a, NULL, sleeper, NULL), 0);
  EXPECT(pthread_create(&b, NULL, sleeper, NULL), 0);
  EXPECT(pthread_kill(b, SIGUSR1), 0);
  expect_count(1);
  CHECK(pthread_equal(handled_by, b));
  EXPECT(pthread_kill(a, SIGUSR1), 0);
  expect_count(2);
  CHECK(pthread_equal(handled_by, a));
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR1);
  EXPECT(pthread_sigmask(SIG_BLOCK, &set, NULL), 0);
  OK(kill(getpid(), SIGUSR1)); /* not this thread, it has blocked it */
  expect_count(3);
  CHECK(pthread_equal(handled_by, a) || pthread_equal(handled_by, b));
  tell(sync_pipe[1]), tell(sync_pipe[1]);
  EXPECT(pthread_join(a, NULL), 0);
  EXPECT(pthread_join(b, NULL), 0);
  OK(kill(getpid(), SIGUSR1));
  sleep_ms(10);
  EXPECT(count, 3);
  EXPECT(pthread_sigmask(SIG_UNBLOCK, &set, NULL), 0);
  EXPECT(count, 4);
  return done();
}
