/* SPDX-License-Identifier: MIT */
/*
 * One thread changes mappings, protects them and forks while another uses them, on another CPU
 * where there is one: when the call has returned nothing of the old state is left anywhere.
 */
/* test: timeout=120 */
#include "check.h"
#include <pthread.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <sys/mman.h>

#define PAGE 4096ul
#define SPAN (64 * PAGE)
#define FEW 300
#define MANY 3000
#define CHANGING (1ul << 40)
#define A_WHILE 3000 /* looks */

static volatile unsigned long *at; /* what is mapped and remapped */
static _Atomic unsigned long epoch, rounds, stop;

static void *map_at(void *where, size_t n) {
  void *p = mmap(where, n, PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_ANONYMOUS | (where ? MAP_FIXED : 0), -1, 0);
  CHECK(p != MAP_FAILED);
  return p;
}

static pthread_t begin(void *(*f)(void *)) {
  pthread_t t;
  stop = rounds = 0;
  CHECK(pthread_create(&t, NULL, f, NULL) == 0);
  while (rounds == 0)
    sched_yield();
  return t;
}

static void end(pthread_t t) {
  stop = 1;
  CHECK(pthread_join(t, NULL) == 0);
}

/* ---- another page in the place of one -------------------------------------------------------- */

/* A page holds the number of the epoch that brought it, or still 0. */
static void *look(void *arg) {
  (void)arg;
  for (; !stop; rounds++) {
    unsigned long before = epoch, seen = at[0], after = epoch;
    CHECK(seen == 0 || (seen >= before && seen <= after + 1));
  }
  return NULL;
}

static void replacing(void) {
  epoch = 0;
  at = map_at(NULL, SPAN);
  pthread_t t = begin(look);
  for (unsigned long k = 1; k <= MANY; k++) {
    map_at((void *)at, k % 7 ? PAGE : SPAN);
    at[0] = k;
    epoch = k;
  }
  end(t);
  OK(munmap((void *)at, SPAN));
}

/* ---- no page --------------------------------------------------------------------------------- */

static sigjmp_buf out;
static void jump(int sig) {
  (void)sig;
  siglongjmp(out, 1);
}

/* In odd epochs there is no page; from CHANGING on there may be one. */
static void *touch(void *arg) {
  static volatile unsigned long before, seen;
  (void)arg;
  for (; !stop; rounds++) {
    before = epoch;
    int faulted = sigsetjmp(out, 1);
    if (!faulted)
      seen = at[0];
    if (epoch != before || before == 0 || before >= CHANGING)
      continue;
    CHECK(faulted == (before % 2 == 1));
    CHECK(faulted || seen == before);
  }
  return NULL;
}

static void unmapping(void) {
  epoch = 0;
  at = map_at(NULL, SPAN);
  handle(SIGSEGV, jump, 0);
  pthread_t t = begin(touch);
  for (unsigned long k = 1; k <= FEW; k += 2) {
    epoch = CHANGING + 2 * k;
    OK(munmap((void *)at, k % 8 == 1 ? SPAN : PAGE));
    epoch = k;
    for (unsigned long r = rounds; rounds < r + 3;)
      sched_yield();
    epoch = CHANGING + 2 * k + 1;
    map_at((void *)at, PAGE);
    at[0] = k + 1;
    epoch = k + 1;
    for (unsigned long r = rounds; rounds < r + 3;)
      sched_yield();
  }
  end(t);
  OK(munmap((void *)at, SPAN));
}

/* ---- write protection ------------------------------------------------------------------------ */

static _Atomic int writable, waiting;

static void wait_until_writable(int sig) {
  (void)sig;
  waiting = 1;
  while (!writable && !stop)
    sched_yield();
  waiting = 0;
}

static void *count(void *arg) {
  (void)arg;
  for (unsigned long n = 1; !stop; n++, rounds = n)
    at[1] = n;
  return NULL;
}

static void protecting(void) {
  at = map_at(NULL, PAGE);
  handle(SIGSEGV, wait_until_writable, SA_RESTART);
  writable = 1;
  pthread_t t = begin(count);
  for (int k = 0; k < FEW; k++) {
    writable = 0;
    OK(mprotect((void *)at, PAGE, PROT_READ));
    unsigned long seen = at[1];
    for (int i = 0; i < A_WHILE; i++)
      CHECK(at[1] == seen);
    while (!waiting)
      sched_yield();
    CHECK(at[1] == seen);
    OK(mprotect((void *)at, PAGE, PROT_READ | PROT_WRITE));
    writable = 1;
    while (at[1] == seen)
      sched_yield();
  }
  end(t);
  OK(munmap((void *)at, PAGE));
}

/* ---- fork
 * ---------------------------------------------------------------------------------------- */

/* The first page is never behind the last, and one ahead at most. */
static void *write_both(void *arg) {
  (void)arg;
  for (unsigned long n = 1; !stop; n++) {
    at[0] = n;
    at[SPAN / sizeof *at - 1] = n;
    rounds = n;
  }
  return NULL;
}

static void check_snapshot(void) {
  unsigned long first = at[0], last = at[SPAN / sizeof *at - 1];
  CHECK(first == last || first == last + 1);
  for (int i = 0; i < A_WHILE; i++)
    CHECK(at[0] == first && at[SPAN / sizeof *at - 1] == last);
  at[0] = 0; /* nor does the parent see this */
}

static void forking(void) {
  at = map_at(NULL, SPAN);
  pthread_t t = begin(write_both);
  for (int k = 0; k < FEW / 2; k++) {
    IN_CHILD { check_snapshot(); }
    END_CHILD(0);
    CHECK(at[0] != 0);
  }
  end(t);
  CHECK(at[0] == at[SPAN / sizeof *at - 1]);
}

int main(void) {
  replacing();
  unmapping();
  protecting();
  forking();
  return done();
}
