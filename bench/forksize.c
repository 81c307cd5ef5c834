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

static void measure(int rounds, int child_writes, double *call, double *whole) {
  for (int i = -2; i < rounds; i++) {
    touch(WRITTEN, i);
    double start = now_us();
    pid_t pid = fork();
    if (pid == 0) {
      touch(child_writes ? WRITTEN : 0, i + 1);
      _exit(0);
    }
    double forked = now_us();
    if (pid < 0)
      fail("fork");
    reap(pid);
    if (i >= 0) {
      call[i] = forked - start;
      whole[i] = now_us() - start;
    }
  }
}

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
  measure(rounds, 0, call, whole);
  report("fork_call", "us", median(call, rounds));
  report("fork_exit_wait", "us", median(whole, rounds));
  measure(rounds, 1, call, whole);
  report("fork_write_exit_wait", "us", median(whole, rounds));
  return 0;
}
