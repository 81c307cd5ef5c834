/* SPDX-License-Identifier: MIT */
/*
 * forksize KIB ROUNDS: fork with that much populated heap. Reports the fork call, fork + exit +
 * wait, and the same with a child that writes to 16 pages; the parent writes between the rounds,
 * as a server would.
 */
#include "measure.h"

enum { PAGE = 4096, WRITTEN = 16 };

static char *heap;
static size_t pages;

static void touch(size_t count, int seed) {
  for (size_t i = 0; i < count; i++)
    heap[(i * 2654435761u + (size_t)seed * 97) % pages * PAGE] = (char)seed;
}

static void parent_writes(int round) { touch(WRITTEN, round); }
static void child_writes(int round) { touch(WRITTEN, round + 1); }

int main(int argc, char **argv) {
  size_t kib = argc > 1 ? strtoul(argv[1], NULL, 0) : 1024;
  int rounds = argc > 2 ? atoi(argv[2]) : 20;
  pages = (kib * 1024 + PAGE - 1) / PAGE;
  heap = malloc(pages * PAGE);
  double *call = malloc(sizeof *call * (size_t)rounds);
  double *whole = malloc(sizeof *whole * (size_t)rounds);
  if (!heap || !call || !whole)
    fail("malloc");
  memset(heap, 1, pages * PAGE);
  measure_forks((struct forks){parent_writes, NULL, reap}, 2, rounds, call, whole);
  report("fork_call", "us", median(call, rounds));
  report("fork_exit_wait", "us", median(whole, rounds));
  measure_forks((struct forks){parent_writes, child_writes, reap}, 2, rounds, call, whole);
  report("fork_write_exit_wait", "us", median(whole, rounds));
  return 0;
}
