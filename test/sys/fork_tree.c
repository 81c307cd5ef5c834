/* SPDX-License-Identifier: MIT */
/*
 * Trees of processes that fork, write, check and end on all CPUs at once: everybody sees the memory
 * of its own line of ancestors and nobody else's, and all are counted.
 */
/* test: timeout=120 */
#include "check.h"
#include <stdatomic.h>
#include <sys/mman.h>

#define ROUNDS 6
#define DEPTH 5
#define WIDTH 3
#define PAGES 40
#define WORDS (4096 / sizeof(long))

static struct shared { _Atomic long born, ended; } * shared;
static long (*memory)[WORDS];
static long bss[PAGES * WORDS];

/* What page i holds below a process whose path from the root is `path`. */
static long expected(long path, int i) { return path * 1000 + i; }

static void fill(long path) {
  for (int i = 0; i < PAGES; i++)
    memory[i][path % WORDS] = bss[(unsigned long)i * WORDS + 1] = expected(path, i);
}

static void check(long path) {
  for (int i = 0; i < PAGES; i++) {
    EXPECT(memory[i][path % WORDS], expected(path, i));
    EXPECT(bss[(unsigned long)i * WORDS + 1], expected(path, i));
  }
}

static void be_born(long path) {
  shared->born++;
  fill(path);
}

static _Noreturn void live(int depth, long path) {
  pid_t children[WIDTH];
  be_born(path);
  for (int k = 0; depth > 0 && k < WIDTH; k++) {
    if ((children[k] = OK(fork())) != 0)
      continue;
    check(path); /* the parent's */
    path = path * WIDTH + k + 1;
    be_born(path);
    depth--;
    k = -1;
  }
  check(path);
  for (int k = 0; depth > 0 && k < WIDTH; k++)
    EXPECT_EXIT(children[k], 0);
  check(path);
  shared->ended++;
  _exit(0);
}

int main(void) {
  long all = 0;
  shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  memory = mmap(NULL, PAGES * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(shared != MAP_FAILED && memory != MAP_FAILED);
  for (long n = 1, level = 0; level <= DEPTH; level++, n *= WIDTH)
    all += n;
  for (int round = 0; round < ROUNDS; round++) {
    shared->born = shared->ended = 0;
    pid_t root = OK(fork());
    if (root == 0)
      live(DEPTH, round);
    EXPECT_EXIT(root, 0);
    EXPECT(shared->born, all);
    EXPECT(shared->ended, all);
  }
  FAILS(wait(NULL), ECHILD);
  return done();
}
