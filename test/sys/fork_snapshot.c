/* SPDX-License-Identifier: MIT */
/*
 * fork while other threads change memory without a lock: the child's memory is as it was at one
 * moment. Writers go round pages of static data, of the heap and of a mapping, leaving the number
 * of the round in each; the first one tells the next writer, which follows it. In a snapshot a
 * writer's pages are a prefix that is one round ahead of the rest, and nobody is ahead of whom it
 * follows.
 */
/* test: timeout=120 */
#include "check.h"
#include <pthread.h>
#include <stdatomic.h>
#include <sys/mman.h>

#define WRITERS 4
#define PAGES 60
#define PAGE 4096
#define FORKS 60

static char data[WRITERS * PAGES * PAGE] __attribute__((aligned(PAGE)));
static char *areas[3];
static atomic_ulong round_of[WRITERS]; /* finished */
static atomic_int stop;

static atomic_ulong *cell(int w, int i) {
  return (atomic_ulong *)(areas[i % 3] + ((size_t)w * PAGES + (size_t)i) * PAGE +
                          8 * (size_t)(i % 500));
}

static void *writer(void *arg) {
  int w = (int)(intptr_t)arg;
  for (unsigned long n = 1; !stop; n++) {
    while (w && atomic_load(&round_of[w - 1]) < n && !stop)
      sched_yield();
    if (stop)
      break;
    for (int i = 0; i < PAGES; i++)
      atomic_store_explicit(cell(w, i), n, memory_order_release);
    atomic_store(&round_of[w], n);
  }
  return NULL;
}

static void check_snapshot(void) {
  unsigned long before = 0;
  for (int w = 0; w < WRITERS; w++) {
    unsigned long done = atomic_load(&round_of[w]), first = atomic_load(cell(w, 0));
    CHECK(first == done || first == done + 1);
    for (int i = 1; i < PAGES; i++) {
      unsigned long here = atomic_load(cell(w, i)), last = atomic_load(cell(w, i - 1));
      CHECK(here == last || (here == done && last == done + 1));
    }
    CHECK(w == 0 || first <= before); /* it follows */
    before = done;
  }
}

/* Again after a while, from the child's own memory: nobody changes it. */
static void child(void) {
  check_snapshot();
  unsigned long n = atomic_load(&round_of[0]);
  pid_t pid = OK(fork());
  if (pid == 0) {
    check_snapshot();
    _exit(0);
  }
  EXPECT_EXIT(pid, 0);
  EXPECT(atomic_load(&round_of[0]), n);
  check_snapshot();
  _exit(0);
}

static void *forker(void *arg) {
  for (int i = 0; i < FORKS; i++) {
    pid_t pid = OK(fork());
    if (pid == 0)
      child();
    EXPECT_EXIT(pid, 0);
  }
  return arg;
}

int main(void) {
  pthread_t t[WRITERS], f;
  areas[0] = data;
  areas[1] = malloc(WRITERS * PAGES * PAGE + PAGE);
  areas[1] += -(uintptr_t)areas[1] % PAGE;
  areas[2] = OK((char *)mmap(NULL, WRITERS * PAGES * PAGE, PROT_READ | PROT_WRITE,
                             MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  for (long w = 0; w < WRITERS; w++)
    EXPECT(pthread_create(&t[w], NULL, writer, (void *)w), 0);
  EXPECT(pthread_create(&f, NULL, forker, NULL), 0); /* two fork at once */
  forker(NULL);
  EXPECT(pthread_join(f, NULL), 0);
  while (round_of[WRITERS - 1] == 0)
    sched_yield();
  stop = 1;
  for (int w = 0; w < WRITERS; w++)
    EXPECT(pthread_join(t[w], NULL), 0);
  return done();
}
