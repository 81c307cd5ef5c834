/* SPDX-License-Identifier: MIT */
/* Process-shared mutexes, condition variables and semaphores in MAP_SHARED memory, across fork. */
#include "check.h"
#include <pthread.h>
#include <semaphore.h>
#include <sys/mman.h>

struct shared {
  pthread_mutex_t lock;
  pthread_cond_t changed;
  sem_t sem;
  int turn;
  long count;
};

int main(void) {
  struct shared *s = OK((struct shared *)mmap(NULL, sizeof *s, PROT_READ | PROT_WRITE,
                                              MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  pthread_mutexattr_t ma;
  pthread_mutexattr_init(&ma);
  pthread_mutexattr_setpshared(&ma, PTHREAD_PROCESS_SHARED);
  pthread_mutex_init(&s->lock, &ma);
  pthread_condattr_t ca;
  pthread_condattr_init(&ca);
  pthread_condattr_setpshared(&ca, PTHREAD_PROCESS_SHARED);
  pthread_cond_init(&s->changed, &ca);
  OK(sem_init(&s->sem, 1, 0));
  pid_t pids[4];
  for (int me = 0; me < 4; me++)
    if ((pids[me] = OK(fork())) == 0) {
      for (int i = 0; i < 300; i++) {
        pthread_mutex_lock(&s->lock);
        while (s->turn != me)
          pthread_cond_wait(&s->changed, &s->lock);
        s->turn = (s->turn + 1) % 4;
        s->count++;
        pthread_cond_broadcast(&s->changed);
        pthread_mutex_unlock(&s->lock);
      }
      OK(sem_post(&s->sem));
      _exit(0);
    }
  for (int i = 0; i < 4; i++)
    OK(sem_wait(&s->sem));
  for (int i = 0; i < 4; i++)
    EXPECT_EXIT(pids[i], 0);
  EXPECT(s->count, 1200);
  return done();
}
