/* SPDX-License-Identifier: MIT */
/* Between processes: pthread objects and semaphores in shared memory, owners that are killed, and
   System V's three. */
#include "soak.h"
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>

struct shared {
  pthread_mutex_t mutex, robust;
  pthread_cond_t cond;
  pthread_barrier_t barrier;
  sem_t sem;
  long count, robust_count;
  unsigned turn, members;
  atomic_uint words;
};

static void init(struct shared *s, unsigned members) {
  pthread_mutexattr_t m;
  pthread_condattr_t c;
  pthread_barrierattr_t b;
  OK0(pthread_mutexattr_init(&m));
  OK0(pthread_condattr_init(&c));
  OK0(pthread_barrierattr_init(&b));
  OK0(pthread_mutexattr_setpshared(&m, PTHREAD_PROCESS_SHARED));
  OK0(pthread_condattr_setpshared(&c, PTHREAD_PROCESS_SHARED));
  OK0(pthread_barrierattr_setpshared(&b, PTHREAD_PROCESS_SHARED));
  OK0(pthread_mutex_init(&s->mutex, &m));
  OK0(pthread_mutexattr_setrobust(&m, PTHREAD_MUTEX_ROBUST));
  OK0(pthread_mutex_init(&s->robust, &m));
  OK0(pthread_cond_init(&s->cond, &c));
  OK0(pthread_barrier_init(&s->barrier, &b, members));
  OK(sem_init(&s->sem, 1, 1));
  s->members = members;
}

static void member(struct shared *s, unsigned me, unsigned n) {
  for (unsigned i = 0; i < n; i++) {
    OK0(pthread_mutex_lock(&s->mutex));
    while (s->turn % s->members != me)
      OK0(pthread_cond_wait(&s->cond, &s->mutex));
    s->turn++;
    s->count++;
    OK0(pthread_cond_broadcast(&s->cond));
    OK0(pthread_mutex_unlock(&s->mutex));
    OK(sem_wait(&s->sem));
    s->words++;
    OK(sem_post(&s->sem));
  }
  int b = pthread_barrier_wait(&s->barrier);
  CHECK(b == 0 || b == PTHREAD_BARRIER_SERIAL_THREAD);
}

static void lock_robust(struct shared *s) {
  MARK();
  int e = pthread_mutex_lock(&s->robust);
  if (e == EOWNERDEAD)
    e = pthread_mutex_consistent(&s->robust);
  EXPECT(e, 0);
}

/* Killed at any moment: the lock is never lost. */
static void killed_owners(struct shared *s, uint64_t *r) {
  pid_t pids[3];
  for (int i = 0; i < 3; i++) {
    pids[i] = child();
    if (pids[i] == 0)
      for (;;) {
        lock_robust(s);
        s->robust_count++;
        OK0(pthread_mutex_unlock(&s->robust));
      }
  }
  for (int i = 0; i < 3; i++) {
    sleep_us(below(r, 3000));
    OK(kill(pids[i], SIGKILL));
    EXPECT_SIGNAL(pids[i], SIGKILL);
    lock_robust(s);
    OK0(pthread_mutex_unlock(&s->robust));
  }
}

void job_locks(uint64_t *r) {
  unsigned members = 1 + below(r, 5), n = 1 + below(r, 60);
  pid_t pids[5];
  struct shared *s = shared_alloc(sizeof *s);
  init(s, members);
  for (unsigned i = 0; i < members; i++) {
    pids[i] = child();
    if (pids[i] == 0) {
      member(s, i, n);
      _exit(0);
    }
  }
  for (unsigned i = 0; i < members; i++)
    EXPECT_EXIT(pids[i], 0);
  EXPECT(s->count, members * n);
  EXPECT(s->words, members * n);
  killed_owners(s, r);
}

/* ---- System V -------------------------------------------------------------------------------- */

static int shm_id, sem_id, msg_id;

static void change(int by) {
  struct sembuf op = {0, (short)by, SEM_UNDO};
  MARK();
  int e;
  while ((e = semop(sem_id, &op, 1)) == -1 && errno == EINTR)
    ;
  OK(e);
}

static void count_under_semaphore(volatile long *v, unsigned n) {
  for (unsigned i = 0; i < n; i++) {
    change(-1);
    ++*v;
    change(1);
  }
}

struct message {
  long type;
  char text[200];
};

static void message_pairs(unsigned pair, unsigned n, uint64_t seed, bool sender) {
  for (unsigned i = 0; i < n; i++) {
    struct message m = {(long)pair + 1, ""};
    size_t len = 1 + (seed + i * 7) % sizeof m.text;
    if (sender) {
      pattern_fill(m.text, len, seed, i);
      OK(msgsnd(msg_id, &m, len, 0));
    } else {
      EXPECT(msgrcv(msg_id, &m, sizeof m.text, (long)pair + 1, 0), len);
      EXPECT(pattern_check(m.text, len, seed, i), -1);
    }
  }
}

/* The soak removes the objects when the job has ended. */
void job_sysv(uint64_t *r) {
  unsigned pairs = 1 + below(r, 3), n = 1 + below(r, 80);
  uint64_t seed = rnd(r);
  pid_t pids[6];
  shm_id = OK(shmget(slot->key, 4096 * (1 + below(r, 20)), IPC_CREAT | IPC_EXCL | 0600));
  sem_id = OK(semget(slot->key, 1, IPC_CREAT | IPC_EXCL | 0600));
  msg_id = OK(msgget(slot->key, IPC_CREAT | IPC_EXCL | 0600));
  long *v = shmat(shm_id, NULL, 0);
  CHECK(v != (void *)-1 || lean);
  if (v == (void *)-1)
    give_up_quietly();
  OK(semctl(sem_id, 0, SETVAL, 1));
  for (unsigned i = 0; i < 2 * pairs; i++) {
    pids[i] = child();
    if (pids[i] == 0) {
      count_under_semaphore(v, n);
      message_pairs(i / 2, n, seed, i % 2);
      _exit(0);
    }
  }
  for (unsigned i = 0; i < 2 * pairs; i++)
    EXPECT_EXIT(pids[i], 0);
  EXPECT(*v, 2 * pairs * n);
  pid_t pid = child(); /* dies with the semaphore: the kernel gives it back */
  if (pid == 0) {
    change(-1);
    for (;;)
      pause();
  }
  while (semctl(sem_id, 0, GETVAL) != 0)
    sched_yield();
  OK(kill(pid, SIGKILL));
  EXPECT_SIGNAL(pid, SIGKILL);
  change(-1);
  change(1);
  OK(shmdt(v));
}
