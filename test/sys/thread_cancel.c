/* SPDX-License-Identifier: MIT */
/* Threads: cancellation (deferred, asynchronous, in blocking calls), clean-up, directed signals,
   and fork with atfork handlers while others run. */
#include "check.h"
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>

static int cleaned;
static void clean(void *arg) { __atomic_add_fetch(&cleaned, (int)(intptr_t)arg, __ATOMIC_SEQ_CST); }

static int fds[2];

static void *blocked_in_read(void *arg) {
  char c;
  (void)arg;
  pthread_cleanup_push(clean, (void *)1);
  read(fds[0], &c, 1);
  pthread_cleanup_pop(0);
  return NULL;
}

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;

static void unlock(void *arg) {
  clean((void *)1);
  pthread_mutex_unlock(arg);
}

static void *blocked_in_cond(void *arg) {
  (void)arg;
  pthread_mutex_lock(&mutex);
  pthread_cleanup_push(unlock, &mutex);
  for (;;)
    pthread_cond_wait(&cond, &mutex);
  pthread_cleanup_pop(0);
  return NULL;
}

static void *blocked_in_sleep(void *arg) {
  (void)arg;
  pthread_cleanup_push(clean, (void *)1);
  sleep(100);
  pthread_cleanup_pop(0);
  return NULL;
}

static void *busy(void *arg) {
  (void)arg;
  pthread_cleanup_push(clean, (void *)1);
  pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, NULL); /* it may act at once */
  for (volatile long k = 0;; k++)
    ;
  pthread_cleanup_pop(0);
  return NULL;
}

static volatile int cancelled; /* whoever runs now */

static void *unwilling(void *arg) {
  int old;
  pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &old);
  sem_post(arg);
  while (!cancelled)
    sleep_ms(1);
  pthread_setcancelstate(old, NULL);
  pthread_cleanup_push(clean, (void *)1);
  pthread_testcancel();
  pthread_cleanup_pop(0);
  return NULL;
}

static void cancel(void *(*f)(void *), void *arg, long delay) {
  pthread_t t;
  void *result;
  int before = cleaned;
  cancelled = 0;
  EXPECT(pthread_create(&t, NULL, f, arg), 0);
  if (delay)
    sleep_ms(delay);
  else
    OK(sem_wait(arg));
  EXPECT(pthread_cancel(t), 0);
  cancelled = 1;
  EXPECT(pthread_join(t, &result), 0);
  CHECK(result == PTHREAD_CANCELED);
  EXPECT(cleaned, before + 1);
}

/* ---- directed signals ------------------------------------------------------------------------ */

static __thread int here;
static int marks; /* of all threads; atomic */

static void mark(int sig) {
  (void)sig;
  here++;
  __atomic_add_fetch(&marks, 1, __ATOMIC_SEQ_CST);
}

static sem_t go, seen;

static void *listener(void *arg) {
  int want = *(int *)arg;
  OK(sem_post(&seen));
  while (sem_wait(&go) == -1)
    ;
  return (void *)(intptr_t)(here == want);
}

static void directed(void) {
  enum { N = 4 };
  pthread_t t[N];
  int want[N], sent = 0;
  handle(SIGUSR1, mark, 0);
  OK(sem_init(&go, 0, 0));
  OK(sem_init(&seen, 0, 0));
  for (int k = 0; k < N; k++) {
    want[k] = k;
    EXPECT(pthread_create(&t[k], NULL, listener, &want[k]), 0);
    OK(sem_wait(&seen));
  }
  for (int round = 1; round < N; round++) /* thread k gets k of them, one at a time */
    for (int k = round; k < N; k++) {
      EXPECT(pthread_kill(t[k], SIGUSR1), 0);
      for (sent++; __atomic_load_n(&marks, __ATOMIC_SEQ_CST) < sent;)
        sleep_ms(1);
    }
  for (int k = 0; k < N; k++)
    OK(sem_post(&go));
  for (int k = 0; k < N; k++) {
    void *ok;
    EXPECT(pthread_join(t[k], &ok), 0);
    CHECK(ok);
  }
  EXPECT(here, 0);
}

/* ---- fork
 * ------------------------------------------------------------------------------------------ */

static pthread_mutex_t guard = PTHREAD_MUTEX_INITIALIZER;
static struct { volatile long a, b; /* equal whenever guard is free */ } pair;
static char order[8];
static int steps;
static volatile int stop;

static void note(char c) { order[steps++ % 7] = c; }
static void prepare(void) {
  pthread_mutex_lock(&guard);
  note('p');
}
static void parent(void) {
  note('P');
  pthread_mutex_unlock(&guard);
}
static void child(void) {
  note('C');
  pthread_mutex_unlock(&guard);
}

static void *changer(void *arg) {
  (void)arg;
  while (!stop) {
    pthread_mutex_lock(&guard);
    pair.a++;
    sched_yield();
    pair.b++;
    pthread_mutex_unlock(&guard);
    free(malloc(100));
  }
  return NULL;
}

static void atfork(void) {
  pthread_t t[3];
  EXPECT(pthread_atfork(prepare, parent, child), 0);
  for (int k = 0; k < 3; k++)
    EXPECT(pthread_create(&t[k], NULL, changer, NULL), 0);
  for (int round = 0; round < 50; round++) {
    steps = 0;
    memset(order, 0, sizeof order);
    IN_CHILD {
      CHECK(!strcmp(order, "pC"));
      EXPECT(pthread_mutex_lock(&guard), 0); /* free, whoever held it before */
      EXPECT(pair.a, pair.b);
      free(malloc(1000));
      pthread_t mine; /* a child can have threads of its own */
      stop = 1;
      EXPECT(pthread_create(&mine, NULL, changer, NULL), 0);
      EXPECT(pthread_join(mine, NULL), 0);
    }
    END_CHILD(0);
    CHECK(!strcmp(order, "pP"));
  }
  stop = 1;
  for (int k = 0; k < 3; k++)
    EXPECT(pthread_join(t[k], NULL), 0);
}

int main(void) {
  sem_t ready;
  OK(pipe(fds));
  OK(sem_init(&ready, 0, 0));
  cancel(blocked_in_read, NULL, 20);
  cancel(blocked_in_cond, NULL, 20);
  EXPECT(pthread_mutex_trylock(&mutex), 0);
  cancel(blocked_in_sleep, NULL, 20);
  cancel(busy, NULL, 20);
  cancel(unwilling, &ready, 0);
  directed();
  atfork();
  return done();
}
