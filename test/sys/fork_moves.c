/* SPDX-License-Identifier: MIT */
/*
 * Forks of a large process, far enough apart for a kernel to prepare the next one. µFork lets the
 * parent itself go on at another base then, if its other threads sleep in futex calls: nothing that
 * the program has kept may show it. Contexts saved before the fork are used after it, in the parent
 * as in the child.
 */
/* test: timeout=600 */
#include "check.h"
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>

#define BYTES (24ul << 20)
#define WORDS (BYTES / 8)
#define ROUNDS 10
#define SLEEPERS 3

static uint64_t *heap;
static void *self = &self; /* a pointer in data */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t go = PTHREAD_COND_INITIALIZER, all = PTHREAD_COND_INITIALIZER;
static int turn, finished, stop, sleepers;
static __thread uint64_t mine;
static pid_t handler_child;
static jmp_buf before;
static volatile unsigned in_handler;
static uint64_t bss[3000];

static uint64_t value(unsigned long i, unsigned round) { return i * 1000003 + round; }

static void fill(unsigned round) {
  for (unsigned long i = 0; i < WORDS; i += 64)
    heap[i] = value(i, round);
  for (unsigned i = 0; i < 3000; i += 100)
    bss[i] = value(i, round + 7);
}

static void verify(unsigned round) {
  for (unsigned long i = 0; i < WORDS; i += 64)
    EXPECT(heap[i], value(i, round));
  for (unsigned i = 0; i < 3000; i += 100)
    EXPECT(bss[i], value(i, round + 7));
  CHECK(self == &self);
}

/* Sleeps in a futex call while the process forks; its stack and its thread-local memory are as
   they were when it wakes. */
static void *sleeper(void *arg) {
  unsigned long number = (unsigned long)arg;
  volatile uint64_t local[64];
  volatile uint64_t *at = local; /* a pointer to the stack */
  mine = number * 77;
  for (unsigned i = 0; i < 64; i++)
    local[i] = number + i;
  pthread_mutex_lock(&lock);
  for (int seen = 0; !stop;) {
    while (turn == seen && !stop)
      pthread_cond_wait(&go, &lock);
    seen = turn;
    EXPECT(mine, number * 77);
    for (unsigned i = 0; i < 64; i++)
      EXPECT(at[i], number + i);
    finished++;
    pthread_cond_signal(&all);
  }
  pthread_mutex_unlock(&lock);
  return NULL;
}

static void wake_sleepers(void) {
  pthread_mutex_lock(&lock);
  finished = 0;
  turn++;
  pthread_cond_broadcast(&go);
  while (finished < sleepers)
    pthread_cond_wait(&all, &lock);
  pthread_mutex_unlock(&lock);
}

/* The frame of the handler was made before the fork, and is left after it. */
static void handler(int sig) {
  uint64_t local = 4711, *at = &local;
  (void)sig;
  handler_child = fork();
  EXPECT(*at, 4711);
  CHECK(at == &local);
  in_handler++;
}

static void reap(pid_t pid) {
  int status;
  CHECK(pid > 0);
  EXPECT(waitpid(pid, &status, 0), pid);
  EXPECT(status, 0);
}

/* Deep enough for frames below and above, with a pointer to one of them. */
static pid_t fork_below(unsigned depth, uint64_t *above) {
  uint64_t local = depth;
  if (depth == 0)
    return fork();
  pid_t pid = fork_below(depth - 1, &local);
  EXPECT(local, depth);
  EXPECT(*above, depth + 1);
  return pid;
}

static void child(unsigned round) {
  verify(round);
  fill(round + 1000);
  verify(round + 1000);
  _exit(0);
}

/* setjmp before the fork, longjmp after it, in both. */
static void jump_over_fork(unsigned round) {
  static volatile unsigned jumps;
  static volatile pid_t pid;
  jumps = 0;
  if (setjmp(before) == 0) {
    pid = fork();
    longjmp(before, 1);
  }
  EXPECT(++jumps, 1);
  if (pid == 0)
    child(round);
  reap(pid);
}

static void one_round(unsigned round) {
  uint64_t top = 6;
  fill(round);
  usleep(round % 3 ? 60000 : 300000); /* time to prepare, and not a fork per request */
  pid_t pid = -1;
  switch (round % 4) {
  case 0:
    pid = fork_below(5, &top);
    break;
  case 1:
    jump_over_fork(round);
    break;
  case 2:
    in_handler = 0;
    EXPECT(raise(SIGUSR1), 0);
    EXPECT(in_handler, 1);
    pid = handler_child;
    break;
  default:
    pid = fork();
  }
  if (pid == 0)
    child(round);
  verify(round);
  wake_sleepers();
  fill(round + 500); /* the child does not see this */
  if (pid > 0)
    reap(pid);
  verify(round + 500);
}

int main(void) {
  pthread_t threads[SLEEPERS];
  char stack[16384];
  stack_t alt = {.ss_sp = stack, .ss_size = sizeof stack};
  struct sigaction sa = {.sa_handler = handler};
  heap = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(heap != MAP_FAILED);
  CHECK(sigaction(SIGUSR1, &sa, NULL) == 0);
  for (unsigned round = 0; round < ROUNDS; round++) /* alone */
    one_round(round);
  CHECK(sigaltstack(&alt, NULL) == 0);
  sa.sa_flags = SA_ONSTACK;
  CHECK(sigaction(SIGUSR1, &sa, NULL) == 0);
  for (unsigned long i = 0; i < SLEEPERS; i++)
    CHECK(pthread_create(&threads[i], NULL, sleeper, (void *)(i + 1)) == 0);
  sleepers = SLEEPERS;
  for (unsigned round = ROUNDS; round < 2 * ROUNDS; round++)
    one_round(round);
  pthread_mutex_lock(&lock);
  stop = 1;
  pthread_cond_broadcast(&go);
  pthread_mutex_unlock(&lock);
  for (unsigned i = 0; i < SLEEPERS; i++)
    CHECK(pthread_join(threads[i], NULL) == 0);
  return done();
}
