// SPDX-License-Identifier: MIT
/* The resident set at its largest: of a process, of a child that is waited for, of children. */
#include "check.h"

#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>

#define MIB ((size_t)1 << 20)
#define MUCH(mib) (((mib)-1) * 1024) /* Linux counts in KiB, and adds up late */

/* A figure that was dear to find out is told again for a while. */
#define UNTIL(cond)                                                                                \
  for (int n = 0; !(cond); n++) {                                                                  \
    CHECK(n < 10000);                                                                              \
    usleep(10000);                                                                                 \
  }

static long maxrss(int who) {
  struct rusage usage;
  OK(getrusage(who, &usage));
  return usage.ru_maxrss;
}

static char *fill(size_t size) {
  char *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(p != MAP_FAILED);
  for (size_t i = 0; i < size; i += 4096)
    p[i] = 1;
  return p;
}

/* From /proc/self/status, in KiB. */
static long status(const char *name) {
  char line[128];
  long kib = -1;
  FILE *f = fopen("/proc/self/status", "r");
  CHECK(f);
  while (fgets(line, sizeof line, f))
    if (strncmp(line, name, strlen(name)) == 0)
      kib = atol(line + strlen(name));
  fclose(f);
  return kib;
}

/* Computes for that much CPU time. */
static void burn(double seconds) {
  clock_t end = clock() + (clock_t)(seconds * CLOCKS_PER_SEC);
  while (clock() < end) {
  }
}

/* Of a child that ends as `f` does. */
static long of_child(void (*f)(void)) {
  struct rusage usage;
  int state;
  pid_t pid = OK(fork());
  if (pid == 0) {
    f();
    _exit(0);
  }
  EXPECT(wait4(pid, &state, 0, &usage), pid);
  EXPECT(state, 0);
  return usage.ru_maxrss;
}

static void nothing(void) {}

static void keeps(void) {
  fill(64 * MIB);
  burn(0.1);
}

static void gives_back(void) {
  char *p = fill(48 * MIB);
  OK(munmap(p, 48 * MIB));
}

static void discards(void) {
  char *p = fill(48 * MIB);
  OK(madvise(p, 48 * MIB, MADV_DONTNEED));
}

static void grandchild(void) { CHECK(of_child(keeps) >= MUCH(64)); }

int main(void) {
  CHECK(status("VmHWM:") < 16 * 1024);
  EXPECT(maxrss(RUSAGE_CHILDREN), 0);
  CHECK(of_child(gives_back) >= MUCH(48));
  CHECK(maxrss(RUSAGE_CHILDREN) >= MUCH(48) && maxrss(RUSAGE_CHILDREN) < 64 * 1024);
  CHECK(of_child(discards) >= MUCH(48));
  long kept = of_child(keeps);
  CHECK(kept >= MUCH(64) && kept < 80 * 1024);
  CHECK(of_child(grandchild) >= MUCH(64)); /* its children's as well */
  CHECK(status("VmHWM:") < 16 * 1024);
  /* It stays when the memory has gone; a child begins with what there is. */
  char *p = fill(32 * MIB);
  UNTIL(maxrss(RUSAGE_SELF) >= MUCH(32));
  CHECK(of_child(nothing) >= MUCH(32));
  OK(munmap(p, 32 * MIB));
  CHECK(maxrss(RUSAGE_SELF) >= MUCH(32));
  CHECK(status("VmHWM:") >= MUCH(32));
  UNTIL(status("VmRSS:") < 16 * 1024);
  CHECK(of_child(nothing) < 16 * 1024);
  puts("ok");
  return 0;
}
