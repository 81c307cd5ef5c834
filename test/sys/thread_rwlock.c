/* SPDX-License-Identifier: MIT */
/* Read-write locks: readers together, writers alone, try and timed kinds, between threads and
   between processes. */
#include "check.h"
#include <pthread.h>
#include <stdbool.h>
#include <sys/mman.h>

#define READERS 6
#define ROUNDS 2000

static struct shared {
  pthread_rwlock_t lock;
  pthread_barrier_t inside;
  volatile long a, b; /* equal unless a writer is at work */
  int inside_now;     /* atomic: readers */
} * s;

static void init(int pshared) {
  pthread_rwlockattr_t a;
  pthread_barrierattr_t b;
  int value;
  memset(s, 0, sizeof *s);
  EXPECT(pthread_rwlockattr_init(&a), 0);
  EXPECT(pthread_rwlockattr_setpshared(&a, 5), EINVAL);
  EXPECT(pthread_rwlockattr_setpshared(&a, pshared), 0);
  EXPECT(pthread_rwlockattr_getpshared(&a, &value), 0);
  EXPECT(value, pshared);
  EXPECT(pthread_rwlock_init(&s->lock, &a), 0);
  EXPECT(pthread_barrierattr_init(&b), 0);
  EXPECT(pthread_barrierattr_setpshared(&b, pshared), 0);
  EXPECT(pthread_barrier_init(&s->inside, &b, READERS), 0);
}

static struct timespec in_ms(long ms) {
  struct timespec t;
  OK(clock_gettime(CLOCK_REALTIME, &t));
  t.tv_nsec += ms % 1000 * 1000000;
  t.tv_sec += ms / 1000 + t.tv_nsec / 1000000000;
  t.tv_nsec %= 1000000000;
  return t;
}

/* All readers are inside at once, which a lock that lets one in at a time would never allow. */
static void *read_together(void *arg) {
  EXPECT(pthread_rwlock_rdlock(&s->lock), 0);
  pthread_barrier_wait(&s->inside);
  EXPECT(pthread_rwlock_unlock(&s->lock), 0);
  return arg;
}

static void *read_or_write(void *arg) {
  uint64_t r = (uintptr_t)arg * 7919 + 1;
  for (int i = 0; i < ROUNDS; i++) {
    struct timespec far = in_ms(100000);
    unsigned how = rnd(&r) % 3;
    if (rnd(&r) % 4 == 0) {
      if (how == 0)
        while (pthread_rwlock_trywrlock(&s->lock) == EBUSY)
          sched_yield();
      else
        EXPECT(how == 1 ? pthread_rwlock_wrlock(&s->lock)
                        : pthread_rwlock_timedwrlock(&s->lock, &far),
               0);
      EXPECT(s->inside_now, 0);
      s->a++;
      if (i % 16 == 0)
        sched_yield();
      s->b++;
    } else {
      if (how == 0)
        while (pthread_rwlock_tryrdlock(&s->lock) == EBUSY)
          sched_yield();
      else
        EXPECT(how == 1 ? pthread_rwlock_rdlock(&s->lock)
                        : pthread_rwlock_timedrdlock(&s->lock, &far),
               0);
      __atomic_add_fetch(&s->inside_now, 1, __ATOMIC_SEQ_CST);
      EXPECT(s->a, s->b);
      __atomic_sub_fetch(&s->inside_now, 1, __ATOMIC_SEQ_CST);
    }
    EXPECT(pthread_rwlock_unlock(&s->lock), 0);
  }
  return NULL;
}

static void *refused(void *arg) {
  bool readers_may = arg != NULL;
  struct timespec soon = in_ms(15), wrong = {soon.tv_sec, -1};
  EXPECT(pthread_rwlock_trywrlock(&s->lock), EBUSY);
  EXPECT(pthread_rwlock_timedwrlock(&s->lock, &soon), ETIMEDOUT);
  EXPECT(pthread_rwlock_timedwrlock(&s->lock, &wrong), EINVAL);
  EXPECT(pthread_rwlock_tryrdlock(&s->lock), readers_may ? 0 : EBUSY);
  if (readers_may)
    EXPECT(pthread_rwlock_unlock(&s->lock), 0);
  soon = in_ms(15);
  EXPECT(pthread_rwlock_timedrdlock(&s->lock, &soon), readers_may ? 0 : ETIMEDOUT);
  if (readers_may)
    EXPECT(pthread_rwlock_unlock(&s->lock), 0);
  return NULL;
}

static void elsewhere(bool process, void *(*f)(void *), void *arg) {
  pthread_t t;
  if (process) {
    IN_CHILD { f(arg); }
    END_CHILD(0);
  } else {
    EXPECT(pthread_create(&t, NULL, f, arg), 0);
    EXPECT(pthread_join(t, NULL), 0);
  }
}

static void many(bool process, void *(*f)(void *)) {
  pthread_t t[READERS];
  pid_t pids[READERS];
  for (long i = 0; i < READERS; i++) {
    if (!process) {
      EXPECT(pthread_create(&t[i], NULL, f, (void *)i), 0);
    } else if ((pids[i] = OK(fork())) == 0) {
      f((void *)i);
      _exit(0);
    }
  }
  for (int i = 0; i < READERS; i++)
    if (process)
      EXPECT_EXIT(pids[i], 0);
    else
      EXPECT(pthread_join(t[i], NULL), 0);
}

static void all(bool process) {
  init(process ? PTHREAD_PROCESS_SHARED : PTHREAD_PROCESS_PRIVATE);
  EXPECT(pthread_rwlock_wrlock(&s->lock), 0);
  elsewhere(process, refused, NULL);
  EXPECT(pthread_rwlock_trywrlock(&s->lock), EBUSY);
  EXPECT(pthread_rwlock_unlock(&s->lock), 0);
  EXPECT(pthread_rwlock_rdlock(&s->lock), 0);
  EXPECT(pthread_rwlock_rdlock(&s->lock), 0);
  EXPECT(pthread_rwlock_unlock(&s->lock), 0);
  elsewhere(process, refused, "readers");
  EXPECT(pthread_rwlock_unlock(&s->lock), 0);
  many(process, read_together);
  many(process, read_or_write);
  EXPECT(pthread_rwlock_trywrlock(&s->lock), 0);
  EXPECT(pthread_rwlock_unlock(&s->lock), 0);
  EXPECT(pthread_rwlock_destroy(&s->lock), 0);
}

int main(void) {
  s = OK((struct shared *)mmap(NULL, sizeof *s, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
                               -1, 0));
  all(false);
  all(true);
  return done();
}
