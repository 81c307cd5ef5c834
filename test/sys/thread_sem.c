/* SPDX-License-Identifier: MIT */
/* Semaphores, unnamed and named, between threads and between processes: counts, time-outs, errors,
   signals; names survive exec and their removal does not disturb who has them open. */
#include "check.h"
#include <limits.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdbool.h>
#include <sys/mman.h>

#define N 5
#define ROUNDS 1500

static struct shared {
  sem_t items, room, lock;
  volatile int in, out;
  int ring[8];
  long sum;
} * s;

static int value_of(sem_t *sem) {
  int v;
  OK(sem_getvalue(sem, &v));
  return v;
}

static void unnamed(int pshared) {
  struct timespec t;
  sem_t sem;
  FAILS(sem_init(&sem, pshared, (unsigned)SEM_VALUE_MAX + 1), EINVAL);
  OK(sem_init(&sem, pshared, 2));
  EXPECT(value_of(&sem), 2);
  OK(sem_wait(&sem));
  OK(sem_trywait(&sem));
  FAILS(sem_trywait(&sem), EAGAIN);
  OK(clock_gettime(CLOCK_REALTIME, &t));
  FAILS(sem_timedwait(&sem, &t), ETIMEDOUT);
  t.tv_nsec += 20000000;
  t.tv_sec += t.tv_nsec / 1000000000;
  t.tv_nsec %= 1000000000;
  FAILS(sem_timedwait(&sem, &t), ETIMEDOUT);
  t.tv_nsec = 1000000000;
  FAILS(sem_timedwait(&sem, &t), EINVAL);
  OK(sem_post(&sem));
  OK(sem_timedwait(&sem, &t)); /* need not wait: the time is not looked at */
  OK(sem_destroy(&sem));
  OK(sem_init(&sem, pshared, SEM_VALUE_MAX));
  FAILS(sem_post(&sem), EOVERFLOW);
  EXPECT(value_of(&sem), SEM_VALUE_MAX);
}

static volatile int caught;
static void note(int sig) { caught = sig; }

static void interrupted(void) {
  sem_t sem;
  OK(sem_init(&sem, 0, 0));
  pid_t parent = getpid(), pid = OK(fork());
  if (pid == 0)
    for (;;) { /* until the wait has been reached */
      sleep_ms(2);
      if (kill(parent, SIGUSR1) == -1)
        _exit(0);
    }
  FAILS(sem_wait(&sem), EINTR);
  EXPECT(caught, SIGUSR1);
  handle(SIGUSR1, SIG_IGN, 0); /* one more may be on its way */
  OK(kill(pid, SIGKILL));
  EXPECT_SIGNAL(pid, SIGKILL);
}

/* ---- producers and consumers of numbers, through a ring of eight
 * --------------------------------- */

static void *produce(void *arg) {
  for (int i = 1; i <= ROUNDS; i++) {
    OK(sem_wait(&s->room));
    OK(sem_wait(&s->lock));
    s->ring[s->in % 8] = i;
    s->in = s->in + 1;
    OK(sem_post(&s->lock));
    OK(sem_post(&s->items));
  }
  return arg;
}

static void *consume(void *arg) {
  for (int i = 1; i <= ROUNDS; i++) {
    OK(sem_wait(&s->items));
    OK(sem_wait(&s->lock));
    s->sum += s->ring[s->out % 8];
    s->out = s->out + 1;
    OK(sem_post(&s->lock));
    OK(sem_post(&s->room));
  }
  return arg;
}

static void ring(bool process) {
  pthread_t t[N];
  pid_t pids[N];
  memset(s, 0, sizeof *s);
  OK(sem_init(&s->items, process, 0));
  OK(sem_init(&s->room, process, 8));
  OK(sem_init(&s->lock, process, 1));
  for (int i = 0; i < 4; i++) {
    void *(*f)(void *) = i % 2 ? produce : consume;
    if (!process) {
      EXPECT(pthread_create(&t[i], NULL, f, NULL), 0);
    } else if ((pids[i] = OK(fork())) == 0) {
      f(NULL);
      _exit(0);
    }
  }
  for (int i = 0; i < 4; i++)
    if (process)
      EXPECT_EXIT(pids[i], 0);
    else
      EXPECT(pthread_join(t[i], NULL), 0);
  EXPECT(s->sum, 2L * ROUNDS * (ROUNDS + 1) / 2);
  EXPECT(value_of(&s->items), 0);
  EXPECT(value_of(&s->room), 8);
}

/* ---- names
 * ---------------------------------------------------------------------------------------- */

static void names(const char *name, const char *program) {
  static char longer[NAME_MAX + 10];
  CHECK(sem_open(name, 0) == SEM_FAILED && errno == ENOENT);
  CHECK(sem_open(name, O_CREAT, 0600, (unsigned)SEM_VALUE_MAX + 1) == SEM_FAILED);
  EXPECT(errno, EINVAL);
  memset(longer, 'x', sizeof longer - 1);
  longer[0] = '/';
  CHECK(sem_open(longer, O_CREAT, 0600, 1) == SEM_FAILED && errno == ENAMETOOLONG);
  CHECK(sem_open("/a/b", O_CREAT, 0600, 1) == SEM_FAILED && errno == EINVAL);
  sem_t *a = sem_open(name, O_CREAT | O_EXCL, 0600, 3);
  CHECK(a != SEM_FAILED);
  EXPECT(value_of(a), 3);
  CHECK(sem_open(name, O_CREAT | O_EXCL, 0600, 1) == SEM_FAILED && errno == EEXIST);
  sem_t *b = sem_open(name, O_CREAT, 0600, 77); /* it exists: its value stays */
  CHECK(b == a);
  OK(sem_close(b));
  for (int i = 0; i < 3; i++)
    OK(sem_wait(a));
  IN_CHILD { execl(program, program, "post", name, NULL); } /* a stranger posts */
  END_CHILD(0);
  OK(sem_wait(a));
  IN_CHILD { OK(sem_post(a)); } /* inherited */
  END_CHILD(0);
  OK(sem_wait(a));
  FAILS(sem_trywait(a), EAGAIN);
  OK(sem_unlink(name));
  FAILS(sem_unlink(name), ENOENT);
  sem_t *c = sem_open(name, O_CREAT | O_EXCL, 0600, 1); /* another one */
  CHECK(c != SEM_FAILED && c != a);
  OK(sem_post(a));
  EXPECT(value_of(c), 1);
  EXPECT(value_of(a), 1);
  OK(sem_unlink(name));
  OK(sem_close(c));
  OK(sem_close(a));
}

int main(int argc, char **argv) {
  char name[40];
  if (argc > 2) {
    sem_t *sem = sem_open(argv[2], 0);
    CHECK(sem != SEM_FAILED);
    OK(sem_post(sem));
    return 0;
  }
  s = OK((struct shared *)mmap(NULL, sizeof *s, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
                               -1, 0));
  handle(SIGUSR1, note, 0);
  unnamed(0);
  unnamed(1);
  interrupted();
  ring(false);
  ring(true);
  snprintf(name, sizeof name, "/ufork-sem-%d", (int)getpid());
  (void)argv;
  names(name, "/proc/self/exe");
  return done();
}
