/* SPDX-License-Identifier: MIT */
/* pthreads: mutexes and condition variables under contention, join values, detach, many threads. */
/* test: timeout=120 */
#include "check.h"
#include <pthread.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static long counter;
static int turn;

static void *add(void *arg) {
  for (int i = 0; i < 50000; i++) {
    pthread_mutex_lock(&lock);
    counter++;
    pthread_mutex_unlock(&lock);
  }
  return arg;
}

static void *take_turns(void *arg) {
  long me = (long)arg;
  for (int i = 0; i < 500; i++) {
    pthread_mutex_lock(&lock);
    while (turn != me)
      pthread_cond_wait(&changed, &lock);
    turn = (turn + 1) % 4;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
  }
  return NULL;
}

static void *quick(void *arg) { return (char *)arg + 1; }

int main(void) {
  pthread_t t[8];
  void *value;
  for (long i = 0; i < 8; i++)
    EXPECT(pthread_create(&t[i], NULL, add, (void *)i), 0);
  for (long i = 0; i < 8; i++) {
    EXPECT(pthread_join(t[i], &value), 0);
    EXPECT((long)value, i);
  }
  EXPECT(counter, 400000);
  for (long i = 0; i < 4; i++)
    EXPECT(pthread_create(&t[i], NULL, take_turns, (void *)i), 0);
  for (int i = 0; i < 4; i++)
    EXPECT(pthread_join(t[i], NULL), 0);
  for (long i = 0; i < 2000; i++) {
    EXPECT(pthread_create(&t[0], NULL, quick, (void *)i), 0);
    EXPECT(pthread_join(t[0], &value), 0);
    EXPECT((long)value, i + 1);
  }
  pthread_mutex_lock(&lock);
  struct timespec soon;
  clock_gettime(CLOCK_REALTIME, &soon);
  soon.tv_nsec += 20000000;
  if (soon.tv_nsec >= 1000000000)
    soon.tv_sec++, soon.tv_nsec -= 1000000000;
  EXPECT(pthread_cond_timedwait(&changed, &lock, &soon), ETIMEDOUT);
  pthread_mutex_unlock(&lock);
  return done();
}
