/* SPDX-License-Identifier: MIT */
/* Barriers, spin locks and pthread_once: nobody passes early, one is told that it is the last;
   between threads and between processes. */
#include "check.h"
#include <pthread.h>
#include <stdbool.h>
#include <sys/mman.h>

#define N 5
#define ROUNDS 400

static struct shared {
  pthread_barrier_t barrier;
  pthread_spinlock_t spin;
  int arrived, serial; /* atomic */
  volatile long count;
} * s;

static void *meet(void *arg) {
  for (int i = 1; i <= ROUNDS; i++) {
    __atomic_add_fetch(&s->arrived, 1, __ATOMIC_SEQ_CST);
    int r = pthread_barrier_wait(&s->barrier);
    CHECK(r == 0 || r == PTHREAD_BARRIER_SERIAL_THREAD);
    int arrived = __atomic_load_n(&s->arrived, __ATOMIC_SEQ_CST);
    CHECK(arrived >= i * N && arrived <= (i + 1) * N);
    if (r)
      __atomic_add_fetch(&s->serial, 1, __ATOMIC_SEQ_CST);
  }
  return arg;
}

static void *spin(void *arg) {
  for (int i = 0; i < 5 * ROUNDS; i++) {
    if (i % 2)
      EXPECT(pthread_spin_lock(&s->spin), 0);
    else
      for (int err; (err = pthread_spin_trylock(&s->spin)) != 0;) {
        EXPECT(err, EBUSY);
        sched_yield();
      }
    s->count = s->count + 1;
    EXPECT(pthread_spin_unlock(&s->spin), 0);
  }
  return arg;
}

static void many(bool process, void *(*f)(void *)) {
  pthread_t t[N];
  pid_t pids[N];
  for (long i = 0; i < N; i++) {
    if (!process) {
      EXPECT(pthread_create(&t[i], NULL, f, NULL), 0);
    } else if ((pids[i] = OK(fork())) == 0) {
      f(NULL);
      _exit(0);
    }
  }
  for (int i = 0; i < N; i++)
    if (process)
      EXPECT_EXIT(pids[i], 0);
    else
      EXPECT(pthread_join(t[i], NULL), 0);
}

static void all(bool process) {
  pthread_barrierattr_t a;
  int pshared = process ? PTHREAD_PROCESS_SHARED : PTHREAD_PROCESS_PRIVATE, value;
  memset(s, 0, sizeof *s);
  EXPECT(pthread_barrierattr_init(&a), 0);
  EXPECT(pthread_barrierattr_setpshared(&a, 9), EINVAL);
  EXPECT(pthread_barrierattr_setpshared(&a, pshared), 0);
  EXPECT(pthread_barrierattr_getpshared(&a, &value), 0);
  EXPECT(value, pshared);
  EXPECT(pthread_barrier_init(&s->barrier, &a, 0), EINVAL);
  EXPECT(pthread_barrier_init(&s->barrier, &a, N), 0);
  EXPECT(pthread_spin_init(&s->spin, pshared), 0);
  many(process, meet);
  EXPECT(s->arrived, N * ROUNDS);
  EXPECT(s->serial, ROUNDS);
  EXPECT(pthread_barrier_destroy(&s->barrier), 0);
  many(process, spin);
  EXPECT(s->count, 5 * N * ROUNDS);
  EXPECT(pthread_spin_destroy(&s->spin), 0);
  EXPECT(pthread_barrier_init(&s->barrier, &a, 1), 0); /* of one */
  EXPECT(pthread_barrier_wait(&s->barrier), PTHREAD_BARRIER_SERIAL_THREAD);
}

/* ---- once ------------------------------------------------------------------------------------ */

static pthread_once_t once[100];
static int ran[100], current;

static void first(void) {
  sleep_ms(1);
  ran[current]++;
}

static void *call_once(void *arg) {
  int i = (int)(intptr_t)arg;
  EXPECT(pthread_once(&once[i], first), 0);
  EXPECT(ran[i], 1); /* whoever ran it has finished */
  return NULL;
}

/* A routine that is cancelled has not run: the next one runs it. */
static pthread_once_t cancelled_once = PTHREAD_ONCE_INIT;
static volatile int entered, finished;
static void slow_first(void) {
  if (entered++ == 0)
    for (;;)
      sleep(100);
  finished++;
}
static void *call_slow(void *arg) {
  EXPECT(pthread_once(&cancelled_once, slow_first), 0);
  return arg;
}

static void onces(void) {
  pthread_t t[N];
  for (current = 0; current < 100; current++) {
    for (int i = 0; i < N; i++)
      EXPECT(pthread_create(&t[i], NULL, call_once, (void *)(intptr_t)current), 0);
    for (int i = 0; i < N; i++)
      EXPECT(pthread_join(t[i], NULL), 0);
  }
  EXPECT(pthread_create(&t[0], NULL, call_slow, NULL), 0);
  while (!entered)
    sched_yield();
  EXPECT(pthread_create(&t[1], NULL, call_slow, NULL), 0); /* waits */
  EXPECT(pthread_cancel(t[0]), 0);
  EXPECT(pthread_join(t[0], NULL), 0);
  EXPECT(pthread_join(t[1], NULL), 0);
  EXPECT(finished, 1);
}

int main(void) {
  s = OK((struct shared *)mmap(NULL, sizeof *s, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
                               -1, 0));
  all(false);
  all(true);
  onces();
  return done();
}
