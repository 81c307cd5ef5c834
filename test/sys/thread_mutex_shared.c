/* SPDX-License-Identifier: MIT */
/* Mutexes of every kind in shared memory, between processes: exclusion, and a robust one whose
   owner returns, is killed, or executes another program while others try, wait or are not there
   yet. */
#include "check.h"
#include <pthread.h>
#include <semaphore.h>
#include <sys/mman.h>

static struct shared {
  pthread_mutex_t m;
  sem_t ready;
  volatile int count;
} * s;

static void init(int type, int robust, int protocol) {
  pthread_mutexattr_t a;
  EXPECT(pthread_mutexattr_init(&a), 0);
  EXPECT(pthread_mutexattr_settype(&a, type), 0);
  EXPECT(pthread_mutexattr_setrobust(&a, robust), 0);
  EXPECT(pthread_mutexattr_setprotocol(&a, protocol), 0);
  EXPECT(pthread_mutexattr_setpshared(&a, PTHREAD_PROCESS_SHARED), 0);
  EXPECT(pthread_mutex_init(&s->m, &a), 0);
  s->count = 0;
}

static void exclusive(void) {
  pid_t pids[4];
  for (int k = 0; k < 4; k++) {
    pids[k] = OK(fork());
    if (pids[k])
      continue;
    for (int i = 0; i < 1000; i++) {
      EXPECT(pthread_mutex_lock(&s->m), 0);
      s->count = s->count + 1;
      if (i % 32 == 0)
        sched_yield();
      EXPECT(pthread_mutex_unlock(&s->m), 0);
    }
    _exit(0);
  }
  for (int k = 0; k < 4; k++)
    EXPECT_EXIT(pids[k], 0);
  EXPECT(s->count, 4000);
}

static void mend(void) {
  EXPECT(pthread_mutex_consistent(&s->m), 0);
  EXPECT(pthread_mutex_unlock(&s->m), 0);
}

enum end { RETURNS, KILLED, EXECUTES, ENDS_THREAD };

static void *own(void *arg) {
  EXPECT(pthread_mutex_lock(&s->m), 0);
  OK(sem_post(&s->ready));
  return arg;
}

static void owner(enum end how) {
  pthread_t t;
  if (how == ENDS_THREAD) {
    EXPECT(pthread_create(&t, NULL, own, NULL), 0);
    EXPECT(pthread_join(t, NULL), 0);
    pause();
  }
  own(NULL);
  if (how == KILLED)
    pause();
  sleep_ms(20);
  if (how == EXECUTES)
    execl("/proc/self/exe", "x", "executed", NULL);
  _exit(how == RETURNS ? 0 : 1);
}

/* It ends with the mutex; `waiters` processes sleep for it. */
static void dies(enum end how, int waiters) {
  pid_t pid = OK(fork()), pids[3];
  int told = 0;
  if (pid == 0)
    owner(how);
  OK(sem_wait(&s->ready));
  for (int k = 0; k < waiters; k++) {
    pids[k] = OK(fork());
    if (pids[k])
      continue;
    int err = pthread_mutex_lock(&s->m);
    if (err == EOWNERDEAD)
      EXPECT(pthread_mutex_consistent(&s->m), 0);
    EXPECT(pthread_mutex_unlock(&s->m), 0);
    _exit(err == EOWNERDEAD ? 1 : err == 0 ? 0 : 2);
  }
  if (how == KILLED) {
    EXPECT(pthread_mutex_trylock(&s->m), EBUSY);
    sleep_ms(10);
    OK(kill(pid, SIGKILL));
  }
  for (int k = 0; k < waiters; k++) {
    int status = wait_for(pids[k]);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) < 2);
    told += WEXITSTATUS(status);
  }
  if (how == ENDS_THREAD) /* its process is still there */
    OK(kill(pid, SIGKILL));
  if (how == KILLED || how == ENDS_THREAD)
    EXPECT_SIGNAL(pid, SIGKILL);
  else
    EXPECT_EXIT(pid, 0);
  if (waiters) {
    EXPECT(told, 1);
  } else {
    EXPECT(pthread_mutex_lock(&s->m), EOWNERDEAD);
    mend();
  }
  EXPECT(pthread_mutex_lock(&s->m), 0);
  EXPECT(pthread_mutex_unlock(&s->m), 0);
}

static volatile int locked;

static void *own_and_end(void *arg) {
  EXPECT(pthread_mutex_lock(&s->m), 0);
  locked = 1;
  return arg;
}

/* A lock that is tried at the very moment at which its owner ends. */
static void ends_meanwhile(int protocol) {
  init(PTHREAD_MUTEX_ERRORCHECK, PTHREAD_MUTEX_ROBUST, protocol);
  for (int i = 0; i < 500; i++) {
    pthread_t t;
    locked = 0;
    EXPECT(pthread_create(&t, NULL, own_and_end, NULL), 0);
    while (!locked)
      sched_yield();
    EXPECT(pthread_mutex_lock(&s->m), EOWNERDEAD);
    mend();
    EXPECT(pthread_join(t, NULL), 0);
  }
}

/* Many at once, some of a thread's, some let go in another order: all are released. */
static void several(void) {
  enum { N = 50 };
  pthread_mutex_t *m = OK((pthread_mutex_t *)mmap(NULL, N * sizeof *m, PROT_READ | PROT_WRITE,
                                                  MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  pthread_mutexattr_t a;
  EXPECT(pthread_mutexattr_init(&a), 0);
  EXPECT(pthread_mutexattr_setrobust(&a, PTHREAD_MUTEX_ROBUST), 0);
  EXPECT(pthread_mutexattr_setpshared(&a, PTHREAD_PROCESS_SHARED), 0);
  for (int i = 0; i < N; i++)
    EXPECT(pthread_mutex_init(&m[i], &a), 0);
  IN_CHILD {
    for (int i = 0; i < N; i++)
      EXPECT(pthread_mutex_lock(&m[i]), 0);
    for (int i = 0; i < N; i += 3)
      EXPECT(pthread_mutex_unlock(&m[i]), 0);
  }
  END_CHILD(0);
  for (int i = 0; i < N; i++)
    EXPECT(pthread_mutex_lock(&m[i]), i % 3 ? EOWNERDEAD : 0);
}

/* A child has none of its parent's mutexes, and its end releases none. */
static void not_inherited(void) {
  init(PTHREAD_MUTEX_ERRORCHECK, PTHREAD_MUTEX_ROBUST, PTHREAD_PRIO_NONE);
  EXPECT(pthread_mutex_lock(&s->m), 0);
  IN_CHILD {
    EXPECT(pthread_mutex_trylock(&s->m), EBUSY);
    EXPECT(pthread_mutex_unlock(&s->m), EPERM);
  }
  END_CHILD(0);
  EXPECT(pthread_mutex_lock(&s->m), EDEADLK);
  EXPECT(pthread_mutex_unlock(&s->m), 0);
}

int main(int argc, char **argv) {
  (void)argv;
  if (argc > 1)
    return 0;
  s = OK((struct shared *)mmap(NULL, sizeof *s, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
                               -1, 0));
  OK(sem_init(&s->ready, 1, 0));
  for (int type = 0; type < 3; type++) {
    init(type, PTHREAD_MUTEX_STALLED, PTHREAD_PRIO_NONE);
    exclusive();
    init(type, PTHREAD_MUTEX_STALLED, PTHREAD_PRIO_INHERIT);
    exclusive();
    for (int p = 0; p < 2; p++) {
      init(type, PTHREAD_MUTEX_ROBUST, p ? PTHREAD_PRIO_INHERIT : PTHREAD_PRIO_NONE);
      exclusive();
      for (int how = RETURNS; how <= ENDS_THREAD; how++) {
        dies((enum end)how, 0);
        /* A thread that ends marks its mutexes itself in musl, and no longer shows that others
           sleep; of those that inherit priority the kernel hands each on as well. Two could have it
           then. */
        dies((enum end)how, how == ENDS_THREAD && p ? 1 : 3);
      }
    }
  }
  ends_meanwhile(PTHREAD_PRIO_NONE);
  ends_meanwhile(PTHREAD_PRIO_INHERIT);
  several();
  not_inherited();
  return done();
}
