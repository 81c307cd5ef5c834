/* SPDX-License-Identifier: MIT */
/* Threads: locks of all kinds keep their promises, cancellation runs clean-ups, thread-local data
   is destroyed; a process ends in many ways while its threads run. */
#include "soak.h"

#define THREADS_MAX 6

static struct {
  pthread_mutex_t mutex, recursive, checking;
  pthread_rwlock_t rwlock;
  pthread_spinlock_t spin;
  pthread_cond_t cond;
  pthread_barrier_t barrier;
  sem_t sem, ended;
  pthread_key_t key;
} s;
static long counter, recursive_counter, spin_counter;
static volatile long left_half, right_half;
static atomic_long destroyed, cleaned;
static unsigned turn, members, rounds;

static void destroy(void *p) {
  free(p);
  destroyed++;
}

static void mutex_of(pthread_mutex_t *m, int type) {
  pthread_mutexattr_t a;
  OK0(pthread_mutexattr_init(&a));
  OK0(pthread_mutexattr_settype(&a, type));
  OK0(pthread_mutex_init(m, &a));
}

static void init(void) {
  mutex_of(&s.mutex, PTHREAD_MUTEX_NORMAL);
  mutex_of(&s.recursive, PTHREAD_MUTEX_RECURSIVE);
  mutex_of(&s.checking, PTHREAD_MUTEX_ERRORCHECK);
  OK0(pthread_rwlock_init(&s.rwlock, NULL));
  OK0(pthread_spin_init(&s.spin, 0));
  OK0(pthread_cond_init(&s.cond, NULL));
  OK0(pthread_barrier_init(&s.barrier, NULL, members));
  OK(sem_init(&s.sem, 0, 2));
  OK(sem_init(&s.ended, 0, 0));
  OK0(pthread_key_create(&s.key, destroy));
}

static void *worker(void *arg) {
  unsigned me = (unsigned)(uintptr_t)arg;
  uint64_t r = mix(me, rounds);
  void *own = malloc(16);
  if (!own)
    soak_fail(__FILE__, __LINE__, "malloc", 0, true);
  OK0(pthread_setspecific(s.key, own));
  for (unsigned i = 0; i < rounds; i++) {
    OK0(pthread_mutex_lock(&s.mutex));
    counter++;
    OK0(pthread_mutex_unlock(&s.mutex));
    OK0(pthread_mutex_lock(&s.recursive));
    OK0(pthread_mutex_lock(&s.recursive));
    recursive_counter++;
    OK0(pthread_mutex_unlock(&s.recursive));
    OK0(pthread_mutex_unlock(&s.recursive));
    OK0(pthread_mutex_lock(&s.checking));
    EXPECT(pthread_mutex_lock(&s.checking), EDEADLK);
    OK0(pthread_mutex_unlock(&s.checking));
    if (below(&r, 4) == 0) {
      OK0(pthread_rwlock_wrlock(&s.rwlock));
      left_half++;
      right_half++;
      OK0(pthread_rwlock_unlock(&s.rwlock));
    } else {
      OK0(pthread_rwlock_rdlock(&s.rwlock));
      EXPECT(left_half, right_half);
      OK0(pthread_rwlock_unlock(&s.rwlock));
    }
    OK0(pthread_spin_lock(&s.spin));
    spin_counter++;
    OK0(pthread_spin_unlock(&s.spin));
    OK(sem_wait(&s.sem));
    OK(sem_post(&s.sem));
    if (i % 16 == 0) {
      int b = pthread_barrier_wait(&s.barrier);
      CHECK(b == 0 || b == PTHREAD_BARRIER_SERIAL_THREAD);
    }
    OK0(pthread_mutex_lock(&s.mutex));
    while (turn % members != me)
      OK0(pthread_cond_wait(&s.cond, &s.mutex));
    turn++;
    OK0(pthread_cond_broadcast(&s.cond));
    OK0(pthread_mutex_unlock(&s.mutex));
  }
  return (void *)(uintptr_t)(me + 1);
}

static void work_together(uint64_t *r) {
  pthread_t t[THREADS_MAX];
  members = 1 + below(r, THREADS_MAX);
  rounds = 1 + below(r, 100);
  turn = 0;
  init();
  for (unsigned i = 0; i < members; i++)
    OK0(pthread_create(&t[i], NULL, worker, (void *)(uintptr_t)i));
  for (unsigned i = 0; i < members; i++) {
    void *v;
    OK0(pthread_join(t[i], &v));
    EXPECT((uintptr_t)v, i + 1);
  }
  EXPECT(counter, members * rounds);
  EXPECT(recursive_counter, members * rounds);
  EXPECT(spin_counter, members * rounds);
  EXPECT(destroyed, members);
}

/* ---- cancellation, detached threads ---------------------------------------------------------- */

static int idle_pipe[2];

static void clean(void *arg) { (void)arg, cleaned++; }

static void *to_be_cancelled(void *arg) {
  char c;
  pthread_cleanup_push(clean, NULL);
  OK(sem_post(&s.ended));
  switch ((uintptr_t)arg % 4) {
  case 0:
    (void)!read(idle_pipe[0], &c, 1);
    break;
  case 1:
    for (;;)
      pause();
  case 2:
    pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, NULL);
    for (volatile unsigned long n = 0;; n++)
      ;
  default:
    for (;;) {
      sched_yield();
      pthread_testcancel();
    }
  }
  pthread_cleanup_pop(0);
  return NULL;
}

static void cancel_some(uint64_t *r) {
  pthread_t t[4];
  unsigned n = 1 + below(r, 4), first = below(r, 4);
  OK(pipe(idle_pipe));
  cleaned = 0;
  for (unsigned i = 0; i < n; i++)
    OK0(pthread_create(&t[i], NULL, to_be_cancelled, (void *)(uintptr_t)(first + i)));
  for (unsigned i = 0; i < n; i++)
    OK(sem_wait(&s.ended));
  for (unsigned i = 0; i < n; i++)
    OK0(pthread_cancel(t[i]));
  for (unsigned i = 0; i < n; i++) {
    void *v;
    OK0(pthread_join(t[i], &v));
    CHECK(v == PTHREAD_CANCELED);
  }
  EXPECT(cleaned, n);
  OK(close(idle_pipe[0]));
  OK(close(idle_pipe[1]));
}

static void *detached(void *arg) {
  (void)arg;
  OK(sem_post(&s.ended));
  return NULL;
}

static void detach_some(uint64_t *r) {
  unsigned n = 1 + below(r, 10);
  for (unsigned i = 0; i < n; i++) {
    pthread_t t;
    OK0(pthread_create(&t, NULL, detached, NULL));
    OK0(pthread_detach(t));
  }
  for (unsigned i = 0; i < n; i++)
    OK(sem_wait(&s.ended));
}

/* ---- the end of a process with threads
 * ------------------------------------------------------------ */

static _Noreturn void *endless(void *arg) {
  volatile unsigned n = 0;
  if ((uintptr_t)arg % 3 == 0)
    for (;;)
      n++;
  if ((uintptr_t)arg % 3 == 1)
    for (;;)
      pause();
  for (;;) {
    free(malloc(100));
    sched_yield();
  }
}

static void *ends_it(void *arg) {
  char *argv[] = {"soak", "child", "exit", "42", NULL};
  switch ((uintptr_t)arg) {
  case 0:
    _exit(42);
  case 1:
    execv(self_path, argv);
    soak_fail(__FILE__, __LINE__, "execv", -1, is_scarce(errno));
  default:
    abort();
  }
}

static void end_with_threads(uint64_t *r) {
  unsigned how = below(r, 4), threads = 1 + below(r, 4);
  bool from_other = below(r, 2);
  pid_t pid = child();
  if (pid == 0) {
    pthread_t t;
    for (unsigned i = 0; i < threads; i++)
      OK0(pthread_create(&t, NULL, endless, (void *)(uintptr_t)(i + how)));
    if (below(r, 2))
      sleep_us(below(r, 2000));
    if (how == 3)
      raise(SIGKILL);
    if (!from_other)
      ends_it((void *)(uintptr_t)how);
    OK0(pthread_create(&t, NULL, ends_it, (void *)(uintptr_t)how));
    for (;;)
      pause();
  }
  if (how < 2)
    EXPECT_EXIT(pid, 42);
  else
    EXPECT_SIGNAL(pid, how == 2 ? SIGABRT : SIGKILL);
}

void job_threads(uint64_t *r) {
  work_together(r);
  cancel_some(r);
  detach_some(r);
  for (unsigned n = 1 + below(r, 3); n > 0; n--)
    end_with_threads(r);
}
