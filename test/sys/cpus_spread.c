/* SPDX-License-Identifier: MIT */
/*
 * Processes that nobody has placed come to run on several CPUs: such that compute; pairs that wake
 * each other all the time and never wait long; and such that only give up their turn. Each tells
 * where it runs. On one CPU there is one place, which shows that the measure is right.
 */
/* test: timeout=120 */
#include "check.h"
#include <sched.h>
#include <stdatomic.h>
#include <sys/mman.h>

static _Atomic int *place; /* of each: its CPU + 1 */
static cpu_set_t usable;
static int cpus;

static void here(int i) { place[i] = OK(sched_getcpu()) + 1; }

static _Noreturn void compute(int i) {
  for (;;) {
    for (volatile int k = 0; k < 10000; k++)
      ;
    here(i);
  }
}

static _Noreturn void give_up(int i) {
  for (;;) {
    here(i);
    sched_yield();
  }
}

/* Sends a byte to and fro with a child of its own, which dies with it. */
static _Noreturn void exchange(int i) {
  int there[2], back[2];
  char c = 0;
  OK(pipe(there));
  OK(pipe(back));
  if (OK(fork()) == 0) {
    OK(close(there[1]));
    OK(close(back[0]));
    while (read(there[0], &c, 1) == 1 && write(back[1], &c, 1) == 1)
      ;
    _exit(0);
  }
  for (;;) {
    here(i);
    EXPECT(write(there[1], &c, 1), 1);
    EXPECT(read(back[0], &c, 1), 1);
  }
}

/* Two of them are on different CPUs many times in a row. On one CPU never. */
static void expect_spread(void (*run)(int i)) {
  pid_t child[2];
  place[0] = place[1] = 0;
  for (int i = 0; i < 2; i++)
    if ((child[i] = OK(fork())) == 0)
      run(i); /* does not return */
  for (int apart = 0, looks = 0; cpus > 1 ? apart < 20 : looks < 200; looks++) {
    usleep(1000);
    int a = place[0], b = place[1];
    CHECK(!a || CPU_ISSET(a - 1, &usable));
    CHECK(!b || CPU_ISSET(b - 1, &usable));
    apart = a && b && a != b ? apart + 1 : 0;
    CHECK(cpus > 1 || apart == 0);
  }
  for (int i = 0; i < 2; i++) {
    OK(kill(child[i], SIGKILL));
    EXPECT_SIGNAL(child[i], SIGKILL);
  }
}

int main(void) {
  OK(signal(SIGPIPE, SIG_IGN));
  OK(sched_getaffinity(0, sizeof usable, &usable));
  cpus = CPU_COUNT(&usable);
  EXPECT(sysconf(_SC_NPROCESSORS_ONLN), cpus);
  place = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  CHECK(place != MAP_FAILED);
  expect_spread(compute);
  expect_spread(exchange);
  expect_spread(give_up);
  return done();
}
