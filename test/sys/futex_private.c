/* SPDX-License-Identifier: MIT */
/* The futex call itself: EAGAIN on another value, time-out, wake counts, requeue, EINTR. */
#include "check.h"
#include <linux/futex.h>
#include <pthread.h>
#include <sys/syscall.h>

static int word, other;

static long futex(int *at, int op, int value, void *timeout, int *to) {
  return syscall(SYS_futex, at, op, value, timeout, to, 0);
}

static void *waiter(void *arg) { return (void *)futex(arg, FUTEX_WAIT_PRIVATE, 0, NULL, NULL); }

int main(void) {
  FAILS(futex(&word, FUTEX_WAIT_PRIVATE, 1, NULL, NULL), EAGAIN);
  struct timespec t = {0, 20000000};
  long start = now_ms();
  FAILS(futex(&word, FUTEX_WAIT_PRIVATE, 0, &t, NULL), ETIMEDOUT);
  CHECK(now_ms() - start >= 19);
  EXPECT(futex(&word, FUTEX_WAKE_PRIVATE, 10, NULL, NULL), 0);
  pthread_t threads[6];
  for (int i = 0; i < 6; i++)
    EXPECT(pthread_create(&threads[i], NULL, waiter, &word), 0);
  for (long asleep = 0; asleep < 6; sleep_ms(1)) /* those that sleep already are moved away, */
    asleep += OK(futex(&word, FUTEX_REQUEUE_PRIVATE, 0, (void *)100L, &other));
  EXPECT(futex(&other, FUTEX_REQUEUE_PRIVATE, 0, (void *)100L, &word), 6); /* all of them back */
  EXPECT(futex(&word, FUTEX_WAKE_PRIVATE, 2, NULL, NULL), 2);
  EXPECT(futex(&word, FUTEX_REQUEUE_PRIVATE, 1, (void *)100L, &other), 4);
  EXPECT(futex(&word, FUTEX_WAKE_PRIVATE, 100, NULL, NULL), 0);
  EXPECT(futex(&other, FUTEX_WAKE_PRIVATE, 100, NULL, NULL), 3);
  for (int i = 0; i < 6; i++) {
    void *result;
    EXPECT(pthread_join(threads[i], &result), 0);
    EXPECT((long)result, 0);
  }
  FAILS(futex((int *)((char *)&word + 1), FUTEX_WAIT_PRIVATE, 0, &t, NULL), EINVAL);
  return done();
}
