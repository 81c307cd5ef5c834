/* SPDX-License-Identifier: MIT */
/* Mutexes of every kind between threads: normal, recursive, error-checking, robust, with priority
   inheritance; trylock, timedlock, an owner that ends. */
#include "check.h"
#include <pthread.h>

#define ROUNDS 3000

static struct timespec in_ms(clockid_t clock, long ms) {
  struct timespec t;
  OK(clock_gettime(clock, &t));
  t.tv_nsec += ms % 1000 * 1000000;
  t.tv_sec += ms / 1000 + t.tv_nsec / 1000000000;
  t.tv_nsec %= 1000000000;
  return t;
}

static pthread_mutex_t *new_mutex(int type, int robust, int protocol) {
  static pthread_mutex_t m;
  pthread_mutexattr_t a;
  int value;
  EXPECT(pthread_mutexattr_init(&a), 0);
  EXPECT(pthread_mutexattr_settype(&a, type), 0);
  EXPECT(pthread_mutexattr_setrobust(&a, robust), 0);
  EXPECT(pthread_mutexattr_setprotocol(&a, protocol), 0);
  EXPECT(pthread_mutexattr_gettype(&a, &value), 0);
  EXPECT(value, type);
  EXPECT(pthread_mutexattr_getrobust(&a, &value), 0);
  EXPECT(value, robust);
  EXPECT(pthread_mutexattr_getprotocol(&a, &value), 0);
  EXPECT(value, protocol);
  EXPECT(pthread_mutex_init(&m, &a), 0);
  EXPECT(pthread_mutexattr_destroy(&a), 0);
  return &m;
}

/* ---- what another thread finds ------------------------------------------------------------ */

struct question {
  pthread_mutex_t *m;
  int (*ask)(pthread_mutex_t *m);
  int answer;
  volatile pid_t tid; /* who asks */
};

static void *answer(void *arg) {
  struct question *q = arg;
  q->tid = gettid();
  q->answer = q->ask(q->m);
  return NULL;
}

static int elsewhere(pthread_mutex_t *m, int (*ask)(pthread_mutex_t *m)) {
  struct question q = {m, ask, -1, 0};
  pthread_t t;
  EXPECT(pthread_create(&t, NULL, answer, &q), 0);
  EXPECT(pthread_join(t, NULL), 0);
  return q.answer;
}

static int try(pthread_mutex_t *m) {
  int err = pthread_mutex_trylock(m);
  if (!err)
    EXPECT(pthread_mutex_unlock(m), 0);
  return err;
}
static int wait_20ms(pthread_mutex_t *m) {
  struct timespec t = in_ms(CLOCK_REALTIME, 20);
  int err = pthread_mutex_timedlock(m, &t);
  if (!err)
    EXPECT(pthread_mutex_unlock(m), 0);
  return err;
}
static int take_and_end(pthread_mutex_t *m) { return pthread_mutex_lock(m); }

/* ---- counting together --------------------------------------------------------------------- */

static long counter;

static void *count(void *arg) {
  for (int i = 0; i < ROUNDS; i++) {
    struct timespec far = in_ms(CLOCK_REALTIME, 100000);
    switch (i % 3) {
    case 0:
      EXPECT(pthread_mutex_lock(arg), 0);
      break;
    case 1:
      EXPECT(pthread_mutex_timedlock(arg, &far), 0);
      break;
    default:
      for (int err; (err = pthread_mutex_trylock(arg)) != 0;) {
        EXPECT(err, EBUSY);
        sched_yield();
      }
    }
    *(volatile long *)&counter += 1;
    if (i % 64 == 0)
      sched_yield(); /* while it is held */
    EXPECT(pthread_mutex_unlock(arg), 0);
  }
  return NULL;
}

static void exclusive(pthread_mutex_t *m) {
  pthread_t t[4];
  counter = 0;
  for (int i = 0; i < 4; i++)
    EXPECT(pthread_create(&t[i], NULL, count, m), 0);
  for (int i = 0; i < 4; i++)
    EXPECT(pthread_join(t[i], NULL), 0);
  EXPECT(counter, 4 * ROUNDS);
}

/* ---- each kind ------------------------------------------------------------------------------ */

static void held(pthread_mutex_t *m, int type) {
  struct timespec past = in_ms(CLOCK_REALTIME, 0), wrong = {past.tv_sec + 1, 1000000000};
  EXPECT(pthread_mutex_lock(m), 0);
  EXPECT(elsewhere(m, try), EBUSY);
  EXPECT(elsewhere(m, wait_20ms), ETIMEDOUT);
  switch (type) {
  case PTHREAD_MUTEX_RECURSIVE:
    EXPECT(pthread_mutex_lock(m), 0);
    EXPECT(pthread_mutex_trylock(m), 0);
    EXPECT(pthread_mutex_timedlock(m, &past), 0);
    for (int i = 0; i < 3; i++) {
      EXPECT(elsewhere(m, try), EBUSY);
      EXPECT(pthread_mutex_unlock(m), 0);
    }
    break;
  case PTHREAD_MUTEX_ERRORCHECK:
    EXPECT(pthread_mutex_lock(m), EDEADLK);
    EXPECT(pthread_mutex_timedlock(m, &past), EDEADLK);
    EXPECT(pthread_mutex_trylock(m), EBUSY);
    break;
  default:
    EXPECT(pthread_mutex_trylock(m), EBUSY);
    EXPECT(pthread_mutex_timedlock(m, &past), ETIMEDOUT);
    if (type == PTHREAD_MUTEX_NORMAL) /* musl waits for ever on those with priority inheritance */
      EXPECT(pthread_mutex_timedlock(m, &wrong), EINVAL);
  }
  if (type != PTHREAD_MUTEX_NORMAL)
    EXPECT(elsewhere(m, pthread_mutex_unlock), EPERM);
  EXPECT(pthread_mutex_unlock(m), 0);
  if (type != PTHREAD_MUTEX_NORMAL)
    EXPECT(pthread_mutex_unlock(m), EPERM);
  EXPECT(elsewhere(m, try), 0);
}

/* The owner ends: the next one is told once; if that one does not make it good, it is lost. */
static void owner_ends(pthread_mutex_t *m, int type) {
  EXPECT(elsewhere(m, take_and_end), 0);
  EXPECT(pthread_mutex_trylock(m), EOWNERDEAD);
  EXPECT(elsewhere(m, try), EBUSY);
  EXPECT(pthread_mutex_consistent(m), 0);
  EXPECT(pthread_mutex_consistent(m), EINVAL);
  EXPECT(pthread_mutex_unlock(m), 0);
  held(m, type);
  EXPECT(elsewhere(m, take_and_end), 0);
  EXPECT(pthread_mutex_lock(m), EOWNERDEAD);
  EXPECT(pthread_mutex_unlock(m), 0);
  EXPECT(pthread_mutex_lock(m), ENOTRECOVERABLE);
  EXPECT(elsewhere(m, try), ENOTRECOVERABLE);
}

static volatile int taken, all_wait;
static void *take_and_end_late(void *arg) {
  EXPECT(pthread_mutex_lock(arg), 0);
  taken = 1;
  while (!all_wait)
    sleep_ms(1);
  return NULL;
}

/* Several sleep for it: the first is told that the owner ended, the others get it in turn. */
static int lock_and_mend(pthread_mutex_t *m) {
  int err = pthread_mutex_lock(m);
  if (err == EOWNERDEAD)
    EXPECT(pthread_mutex_consistent(m), 0);
  EXPECT(pthread_mutex_unlock(m), 0);
  return err;
}

static void owner_ends_while_others_wait(pthread_mutex_t *m) {
  struct question q[3];
  pthread_t owner, t[3];
  int told = 0;
  taken = all_wait = 0;
  EXPECT(pthread_create(&owner, NULL, take_and_end_late, m), 0);
  while (!taken)
    sched_yield();
  for (int i = 0; i < 3; i++) {
    q[i] = (struct question){m, lock_and_mend, -1, 0};
    EXPECT(pthread_create(&t[i], NULL, answer, &q[i]), 0);
  }
  for (int i = 0; i < 3; i++) {
    while (!q[i].tid)
      sched_yield();
    until_thread_asleep(getpid(), q[i].tid);
  }
  all_wait = 1;
  EXPECT(pthread_join(owner, NULL), 0);
  for (int i = 0; i < 3; i++) {
    EXPECT(pthread_join(t[i], NULL), 0);
    CHECK(q[i].answer == 0 || q[i].answer == EOWNERDEAD);
    told += q[i].answer == EOWNERDEAD;
  }
  EXPECT(told, 1);
}

static void attributes(void) {
  pthread_mutexattr_t a;
  int shared;
  EXPECT(pthread_mutexattr_init(&a), 0);
  EXPECT(pthread_mutexattr_settype(&a, 77), EINVAL);
  EXPECT(pthread_mutexattr_setrobust(&a, 77), EINVAL);
  EXPECT(pthread_mutexattr_setprotocol(&a, 77), EINVAL);
  EXPECT(pthread_mutexattr_setprotocol(&a, PTHREAD_PRIO_PROTECT), ENOTSUP);
  EXPECT(pthread_mutexattr_setpshared(&a, 77), EINVAL);
  EXPECT(pthread_mutexattr_setpshared(&a, PTHREAD_PROCESS_SHARED), 0);
  EXPECT(pthread_mutexattr_getpshared(&a, &shared), 0);
  EXPECT(shared, PTHREAD_PROCESS_SHARED);
}

int main(void) {
  static const int types[] = {PTHREAD_MUTEX_NORMAL, PTHREAD_MUTEX_RECURSIVE,
                              PTHREAD_MUTEX_ERRORCHECK};
  static const int protocols[] = {PTHREAD_PRIO_NONE, PTHREAD_PRIO_INHERIT};
  attributes();
  for (int i = 0; i < 3; i++)
    for (int robust = 0; robust < 2; robust++)
      for (int p = 0; p < 2; p++) {
        /* A normal one without owner cannot tell who unlocks; the others can. */
        int type = types[i] == PTHREAD_MUTEX_NORMAL && (robust || p) ? 77 : types[i];
        pthread_mutex_t *m = new_mutex(types[i], robust, protocols[p]);
        held(m, type);
        exclusive(m);
        if (robust) {
          owner_ends_while_others_wait(m);
          owner_ends(m, type);
        }
        EXPECT(pthread_mutex_destroy(m), 0);
      }
  return done();
}
