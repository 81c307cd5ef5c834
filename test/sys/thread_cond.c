/* SPDX-License-Identifier: MIT */
/* Condition variables: time-outs by both clocks, broadcast to many, signal to one at a time,
   between processes, cancellation inside of a wait. */
#include "check.h"
#include <pthread.h>
#include <sys/mman.h>

#define MANY 40

struct shared {
  pthread_mutex_t lock;
  pthread_cond_t cond, back;
  int waiting, generation, served, tickets;
};
static struct shared *s;

static void init(clockid_t clock, int pshared) {
  pthread_mutexattr_t m;
  pthread_condattr_t c;
  clockid_t got;
  int value;
  memset(s, 0, sizeof *s);
  EXPECT(pthread_mutexattr_init(&m), 0);
  EXPECT(pthread_mutexattr_setpshared(&m, pshared), 0);
  EXPECT(pthread_mutex_init(&s->lock, &m), 0);
  EXPECT(pthread_condattr_init(&c), 0);
  EXPECT(pthread_condattr_setpshared(&c, pshared), 0);
  EXPECT(pthread_condattr_getpshared(&c, &value), 0);
  EXPECT(value, pshared);
  EXPECT(pthread_condattr_setclock(&c, clock), 0);
  EXPECT(pthread_condattr_getclock(&c, &got), 0);
  EXPECT(got, clock);
  EXPECT(pthread_condattr_setclock(&c, CLOCK_THREAD_CPUTIME_ID), EINVAL);
  EXPECT(pthread_cond_init(&s->cond, &c), 0);
  EXPECT(pthread_cond_init(&s->back, &c), 0);
}

static void timeouts(clockid_t clock) {
  struct timespec at, after;
  EXPECT(pthread_mutex_lock(&s->lock), 0);
  OK(clock_gettime(clock, &at));
  EXPECT(pthread_cond_timedwait(&s->cond, &s->lock, &at), ETIMEDOUT); /* now */
  at.tv_nsec += 30000000;
  at.tv_sec += at.tv_nsec / 1000000000;
  at.tv_nsec %= 1000000000;
  EXPECT(pthread_cond_timedwait(&s->cond, &s->lock, &at), ETIMEDOUT);
  OK(clock_gettime(clock, &after));
  CHECK(after.tv_sec > at.tv_sec || (after.tv_sec == at.tv_sec && after.tv_nsec >= at.tv_nsec));
  EXPECT(pthread_mutex_trylock(&s->lock), EBUSY); /* it is held again */
  at.tv_nsec = 1000000000;
  EXPECT(pthread_cond_timedwait(&s->cond, &s->lock, &at), EINVAL);
  at = (struct timespec){-1, 0};
  EXPECT(pthread_cond_timedwait(&s->cond, &s->lock, &at), ETIMEDOUT);
  EXPECT(pthread_mutex_unlock(&s->lock), 0);
}

/* ---- one wake-up for all, then one for each -------------------------------------------------- */

static void *follow(void *arg) {
  long rounds = (long)arg;
  EXPECT(pthread_mutex_lock(&s->lock), 0);
  for (int seen = s->generation; rounds-- > 0; seen = s->generation) {
    if (++s->waiting == MANY)
      EXPECT(pthread_cond_signal(&s->back), 0);
    while (s->generation == seen)
      EXPECT(pthread_cond_wait(&s->cond, &s->lock), 0);
  }
  while (!s->tickets) { /* a signal wakes at least one, who takes what it stands for */
    s->waiting++;
    EXPECT(pthread_cond_signal(&s->back), 0);
    EXPECT(pthread_cond_wait(&s->cond, &s->lock), 0);
    s->waiting--;
  }
  s->tickets--;
  s->served++;
  EXPECT(pthread_cond_signal(&s->back), 0);
  EXPECT(pthread_mutex_unlock(&s->lock), 0);
  return NULL;
}

static void lead(long rounds) {
  EXPECT(pthread_mutex_lock(&s->lock), 0);
  for (long i = 0; i < rounds; i++) {
    while (s->waiting < MANY)
      EXPECT(pthread_cond_wait(&s->back, &s->lock), 0);
    s->waiting = 0;
    s->generation++;
    EXPECT(pthread_cond_broadcast(&s->cond), 0);
  }
  for (int i = 1; i <= MANY; i++) {
    while (!s->waiting)
      EXPECT(pthread_cond_wait(&s->back, &s->lock), 0);
    s->tickets++;
    EXPECT(pthread_cond_signal(&s->cond), 0);
    while (s->served < i)
      EXPECT(pthread_cond_wait(&s->back, &s->lock), 0);
  }
  EXPECT(pthread_mutex_unlock(&s->lock), 0);
}

static void between_threads(void) {
  pthread_t t[MANY];
  for (int i = 0; i < MANY; i++)
    EXPECT(pthread_create(&t[i], NULL, follow, (void *)20), 0);
  lead(20);
  for (int i = 0; i < MANY; i++)
    EXPECT(pthread_join(t[i], NULL), 0);
}

static void between_processes(void) {
  pid_t pids[MANY];
  for (int i = 0; i < MANY; i++) {
    pids[i] = OK(fork());
    if (pids[i] == 0) {
      follow((void *)10);
      _exit(0);
    }
  }
  lead(10);
  for (int i = 0; i < MANY; i++)
    EXPECT_EXIT(pids[i], 0);
}

/* ---- cancellation: the clean-up handler runs with the mutex held ----------------------------- */

static void unlock(void *arg) {
  (void)arg;
  EXPECT(pthread_mutex_trylock(&s->lock), EBUSY);
  s->served++;
  EXPECT(pthread_mutex_unlock(&s->lock), 0);
}

static void *wait_for_ever(void *arg) {
  struct timespec far = {now_ms() / 1000 + 100000, 0};
  EXPECT(pthread_mutex_lock(&s->lock), 0);
  pthread_cleanup_push(unlock, NULL);
  s->waiting++;
  for (;;)
    if (arg)
      pthread_cond_timedwait(&s->cond, &s->lock, &far);
    else
      pthread_cond_wait(&s->cond, &s->lock);
  pthread_cleanup_pop(0);
  return NULL;
}

static void cancelled(void) {
  pthread_t t[6];
  void *result;
  for (long i = 0; i < 6; i++)
    EXPECT(pthread_create(&t[i], NULL, wait_for_ever, (void *)(i % 2)), 0);
  for (int waiting = 0; waiting < 6;) { /* all of them within the wait, which gave up the mutex */
    EXPECT(pthread_mutex_lock(&s->lock), 0);
    waiting = s->waiting;
    EXPECT(pthread_mutex_unlock(&s->lock), 0);
  }
  for (int i = 0; i < 6; i++) {
    EXPECT(pthread_cancel(t[i]), 0);
    EXPECT(pthread_join(t[i], &result), 0);
    CHECK(result == PTHREAD_CANCELED);
    EXPECT(s->served, i + 1);
  }
  EXPECT(pthread_mutex_trylock(&s->lock), 0);
  EXPECT(pthread_mutex_unlock(&s->lock), 0);
}

int main(void) {
  static const clockid_t clocks[] = {CLOCK_REALTIME, CLOCK_MONOTONIC};
  s = OK((struct shared *)mmap(NULL, sizeof *s, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
                               -1, 0));
  for (int i = 0; i < 2; i++)
    for (int shared = 0; shared < 2; shared++) {
      init(clocks[i], shared ? PTHREAD_PROCESS_SHARED : PTHREAD_PROCESS_PRIVATE);
      timeouts(clocks[i]);
      between_threads();
    }
  init(CLOCK_MONOTONIC, PTHREAD_PROCESS_SHARED);
  between_processes();
  init(CLOCK_MONOTONIC, PTHREAD_PROCESS_SHARED);
  cancelled();
  init(CLOCK_MONOTONIC, PTHREAD_PROCESS_PRIVATE);
  cancelled();
  return done();
}
