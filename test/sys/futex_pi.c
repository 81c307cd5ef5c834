/* SPDX-License-Identifier: MIT */
/* Futexes with an owner (FUTEX_LOCK_PI): the word, errors, hand-over, time-outs, signals. */
#include "check.h"
#include <linux/futex.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/syscall.h>

static uint32_t word;

static long futex(uint32_t *at, int op, const struct timespec *timeout) {
  return syscall(SYS_futex, at, op, 0, timeout, NULL, 0);
}
static uint32_t tid(void) { return (uint32_t)syscall(SYS_gettid); }
static uint32_t load(uint32_t *at) { return __atomic_load_n(at, __ATOMIC_SEQ_CST); }

static void *lock_it(void *arg) {
  (void)arg;
  OK(futex(&word, FUTEX_LOCK_PI_PRIVATE, NULL));
  EXPECT(load(&word) & FUTEX_TID_MASK, tid());
  OK(futex(&word, FUTEX_UNLOCK_PI_PRIVATE, NULL));
  return NULL;
}

static void *try_it(void *arg) {
  (void)arg;
  FAILS(futex(&word, FUTEX_TRYLOCK_PI_PRIVATE, NULL), EAGAIN);
  FAILS(futex(&word, FUTEX_UNLOCK_PI_PRIVATE, NULL), EPERM);
  struct timespec soon;
  OK(clock_gettime(CLOCK_REALTIME, &soon));
  FAILS(futex(&word, FUTEX_LOCK_PI_PRIVATE, &soon), ETIMEDOUT);
  soon.tv_sec += 1, soon.tv_nsec = 1000000000;
  FAILS(futex(&word, FUTEX_LOCK_PI_PRIVATE, &soon), EINVAL);
  return NULL;
}

static volatile int caught;
static void note(int sig) { caught = sig; }

/* A signal does not end the wait. */
static void *locked_in_spite_of_signals(void *arg) {
  __atomic_store_n((int *)arg, 1, __ATOMIC_SEQ_CST);
  return lock_it(NULL);
}

static void interrupted(void) {
  pthread_t t;
  int started = 0;
  handle(SIGUSR1, note, 0);
  OK(futex(&word, FUTEX_LOCK_PI_PRIVATE, NULL));
  EXPECT(pthread_create(&t, NULL, locked_in_spite_of_signals, &started), 0);
  while (!__atomic_load_n(&started, __ATOMIC_SEQ_CST) || !(load(&word) & FUTEX_WAITERS))
    sched_yield();
  EXPECT(pthread_kill(t, SIGUSR1), 0);
  while (!caught)
    sched_yield();
  EXPECT(load(&word), tid() | FUTEX_WAITERS);
  OK(futex(&word, FUTEX_UNLOCK_PI_PRIVATE, NULL));
  EXPECT(pthread_join(t, NULL), 0);
}

static void errors(void) {
  word = 0;
  OK(futex(&word, FUTEX_LOCK_PI_PRIVATE, NULL));
  EXPECT(word, tid());
  FAILS(futex(&word, FUTEX_LOCK_PI_PRIVATE, NULL), EDEADLK);
  pthread_t t;
  EXPECT(pthread_create(&t, NULL, try_it, NULL), 0);
  EXPECT(pthread_join(t, NULL), 0);
  OK(futex(&word, FUTEX_UNLOCK_PI_PRIVATE, NULL));
  EXPECT(word, 0);
  FAILS(futex(&word, FUTEX_UNLOCK_PI_PRIVATE, NULL), EPERM);
  OK(futex(&word, FUTEX_TRYLOCK_PI_PRIVATE, NULL));
  EXPECT(word, tid());
  word = FUTEX_TID_MASK; /* nobody's */
  FAILS(futex(&word, FUTEX_LOCK_PI_PRIVATE, NULL), ESRCH);
  word = FUTEX_OWNER_DIED;
  OK(futex(&word, FUTEX_LOCK_PI_PRIVATE, NULL));
  EXPECT(word, tid() | FUTEX_OWNER_DIED);
  OK(futex(&word, FUTEX_UNLOCK_PI_PRIVATE, NULL));
  FAILS(futex((uint32_t *)((char *)&word + 2), FUTEX_LOCK_PI_PRIVATE, NULL), EINVAL);
  FAILS(futex((uint32_t *)4096, FUTEX_LOCK_PI_PRIVATE, NULL), EFAULT);
  FAILS(futex((uint32_t *)4096, FUTEX_UNLOCK_PI_PRIVATE, NULL), EFAULT);
  word = 0;
}

static void many(void) {
  pthread_t t[8];
  OK(futex(&word, FUTEX_LOCK_PI_PRIVATE, NULL));
  for (int i = 0; i < 8; i++)
    EXPECT(pthread_create(&t[i], NULL, lock_it, NULL), 0);
  while (!(load(&word) & FUTEX_WAITERS))
    sched_yield();
  OK(futex(&word, FUTEX_UNLOCK_PI_PRIVATE, NULL));
  for (int i = 0; i < 8; i++)
    EXPECT(pthread_join(t[i], NULL), 0);
}

/* Between processes, through different mappings. */
static void shared(void) {
  uint32_t *s =
      OK((uint32_t *)mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  pid_t pids[4];
  for (int k = 0; k < 4; k++) {
    pids[k] = OK(fork());
    if (pids[k])
      continue;
    for (int i = 0; i < 500; i++) {
      uint32_t me = tid();
      if (syscall(SYS_futex, s, FUTEX_LOCK_PI, 0, NULL, NULL, 0) == -1)
        check_fail(__FILE__, __LINE__, "lock", i);
      EXPECT(load(s) & FUTEX_TID_MASK, me);
      s[1]++;
      if (i % 16 == 0)
        sched_yield();
      OK(futex(s, FUTEX_UNLOCK_PI, NULL));
    }
    _exit(0);
  }
  for (int k = 0; k < 4; k++)
    EXPECT_EXIT(pids[k], 0);
  EXPECT(s[1], 2000);
  EXPECT(s[0] & FUTEX_TID_MASK, 0);
}

int main(void) {
  errors();
  many();
  interrupted();
  shared();
  return done();
}
