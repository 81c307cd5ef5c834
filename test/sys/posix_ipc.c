/* SPDX-License-Identifier: MIT */
/* POSIX shared memory and named semaphores between processes; process-shared pthread objects in it.
 */
#include "check.h"
#include <pthread.h>
#include <semaphore.h>
#include <sys/mman.h>
#include <sys/stat.h>

struct shared {
  pthread_mutex_t mutex, robust;
  pthread_cond_t cond;
  pthread_barrier_t barrier;
  pthread_rwlock_t rwlock;
  sem_t sem;
  int turn, count;
};

static struct shared *map(const char *name) {
  int fd = OK(shm_open(name, O_RDWR | O_CREAT | O_EXCL, 0600));
  FAILS(shm_open(name, O_RDWR | O_CREAT | O_EXCL, 0600), EEXIST);
  OK(ftruncate(fd, sizeof(struct shared)));
  struct stat st;
  OK(fstat(fd, &st));
  EXPECT(st.st_size, sizeof(struct shared));
  struct shared *s =
      OK((struct shared *)mmap(NULL, sizeof *s, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
  OK(close(fd));
  return s;
}

static void init(struct shared *s) {
  pthread_mutexattr_t m;
  pthread_condattr_t c;
  pthread_barrierattr_t b;
  pthread_rwlockattr_t r;
  pthread_mutexattr_init(&m);
  pthread_condattr_init(&c);
  pthread_barrierattr_init(&b);
  pthread_rwlockattr_init(&r);
  EXPECT(pthread_mutexattr_setpshared(&m, PTHREAD_PROCESS_SHARED), 0);
  EXPECT(pthread_condattr_setpshared(&c, PTHREAD_PROCESS_SHARED), 0);
  EXPECT(pthread_barrierattr_setpshared(&b, PTHREAD_PROCESS_SHARED), 0);
  EXPECT(pthread_rwlockattr_setpshared(&r, PTHREAD_PROCESS_SHARED), 0);
  EXPECT(pthread_mutex_init(&s->mutex, &m), 0);
  EXPECT(pthread_mutexattr_setrobust(&m, PTHREAD_MUTEX_ROBUST), 0);
  EXPECT(pthread_mutex_init(&s->robust, &m), 0);
  EXPECT(pthread_cond_init(&s->cond, &c), 0);
  EXPECT(pthread_barrier_init(&s->barrier, &b, 3), 0);
  EXPECT(pthread_rwlock_init(&s->rwlock, &r), 0);
  OK(sem_init(&s->sem, 1, 0));
}

static void count(struct shared *s) {
  pid_t pids[4];
  for (int k = 0; k < 4; k++) {
    pids[k] = OK(fork());
    if (pids[k])
      continue;
    for (int i = 0; i < 2000; i++) {
      EXPECT(pthread_mutex_lock(&s->mutex), 0);
      *(volatile int *)&s->count += 1;
      EXPECT(pthread_mutex_unlock(&s->mutex), 0);
    }
    _exit(0);
  }
  for (int k = 0; k < 4; k++)
    EXPECT_EXIT(pids[k], 0);
  EXPECT(s->count, 8000);
}

static void take_turns(struct shared *s) {
  pid_t pid = OK(fork());
  int me = pid == 0;
  for (int i = 0; i < 200; i++) {
    EXPECT(pthread_mutex_lock(&s->mutex), 0);
    while (s->turn != me)
      EXPECT(pthread_cond_wait(&s->cond, &s->mutex), 0);
    s->turn = !me;
    EXPECT(pthread_cond_signal(&s->cond), 0);
    EXPECT(pthread_mutex_unlock(&s->mutex), 0);
  }
  if (pid == 0)
    _exit(0);
  EXPECT_EXIT(pid, 0);
}

/* The owner dies: the next one is told, and may make it good. */
static void robust(struct shared *s) {
  IN_CHILD { EXPECT(pthread_mutex_lock(&s->robust), 0); }
  END_CHILD(0);
  EXPECT(pthread_mutex_lock(&s->robust), EOWNERDEAD);
  EXPECT(pthread_mutex_consistent(&s->robust), 0);
  EXPECT(pthread_mutex_unlock(&s->robust), 0);
  EXPECT(pthread_mutex_lock(&s->robust), 0);
  EXPECT(pthread_mutex_unlock(&s->robust), 0);
  pid_t pid = OK(fork()); /* killed while others sleep for it */
  if (pid == 0) {
    EXPECT(pthread_mutex_lock(&s->robust), 0);
    OK(sem_post(&s->sem));
    for (;;)
      pause();
  }
  OK(sem_wait(&s->sem));
  pid_t waiter = OK(fork());
  if (waiter == 0)
    _exit(pthread_mutex_lock(&s->robust) == EOWNERDEAD && !pthread_mutex_unlock(&s->robust) ? 0
                                                                                            : 1);
  sleep_ms(20);
  OK(kill(pid, SIGKILL));
  EXPECT_SIGNAL(pid, SIGKILL);
  EXPECT_EXIT(waiter, 0);
  EXPECT(pthread_mutex_lock(&s->robust), ENOTRECOVERABLE); /* it was not made good */
}

static void others(struct shared *s) {
  pid_t pids[2];
  for (int k = 0; k < 2; k++) {
    pids[k] = OK(fork());
    if (pids[k])
      continue;
    int r = pthread_barrier_wait(&s->barrier);
    CHECK(r == 0 || r == PTHREAD_BARRIER_SERIAL_THREAD);
    EXPECT(pthread_rwlock_rdlock(&s->rwlock), 0);
    EXPECT(pthread_rwlock_unlock(&s->rwlock), 0);
    OK(sem_post(&s->sem));
    _exit(0);
  }
  EXPECT(pthread_rwlock_wrlock(&s->rwlock), 0);
  int r = pthread_barrier_wait(&s->barrier);
  CHECK(r == 0 || r == PTHREAD_BARRIER_SERIAL_THREAD);
  sleep_ms(20);
  FAILS(sem_trywait(&s->sem), EAGAIN);
  EXPECT(pthread_rwlock_unlock(&s->rwlock), 0);
  OK(sem_wait(&s->sem));
  OK(sem_wait(&s->sem));
  for (int k = 0; k < 2; k++)
    EXPECT_EXIT(pids[k], 0);
}

static void named_semaphore(void) {
  char name[40];
  int v;
  snprintf(name, sizeof name, "/ufork-sem-%d", (int)getpid());
  CHECK(sem_open(name, 0) == SEM_FAILED && errno == ENOENT);
  sem_t *a = sem_open(name, O_CREAT | O_EXCL, 0600, 1);
  CHECK(a != SEM_FAILED);
  IN_CHILD {
    sem_t *b = sem_open(name, 0);
    CHECK(b != SEM_FAILED);
    OK(sem_wait(b));
    FAILS(sem_trywait(b), EAGAIN);
    OK(sem_post(b));
    OK(sem_post(b));
    OK(sem_close(b));
  }
  END_CHILD(0);
  OK(sem_getvalue(a, &v));
  EXPECT(v, 2);
  OK(sem_close(a));
  OK(sem_unlink(name));
  FAILS(sem_unlink(name), ENOENT);
}

int main(void) {
  char name[40];
  snprintf(name, sizeof name, "/ufork-shm-%d", (int)getpid());
  struct shared *s = map(name);
  init(s);
  OK(shm_unlink(name));
  FAILS(shm_unlink(name), ENOENT);
  count(s);
  take_turns(s);
  robust(s);
  others(s);
  named_semaphore();
  return done();
}
