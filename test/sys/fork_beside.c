/* SPDX-License-Identifier: MIT */
/* Processes that share memory without being threads (clone with CLONE_VM): one writes all the time
   while the other forks. Nothing that is written is lost, and nothing of it gets into a child
   afterwards. */
#define _GNU_SOURCE
#include "check.h"
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGES 2048
#define PAGE 4096
#define FORKS 60

static volatile unsigned *memory;
static volatile int stop, lost;
static volatile unsigned long rounds;

/* Every page counts; a page that has gone back has lost a write. */
static int writer(void *arg) {
  (void)arg;
  for (unsigned n = 1; !stop; n++) {
    for (unsigned i = 0; i < PAGES && !stop; i++) {
      volatile unsigned *p = memory + i * (PAGE / sizeof *memory);
      if (*p != n - 1)
        lost++;
      *p = n;
    }
    rounds = n;
    if (stop)
      break;
  }
  return 0;
}

/* What a child sees stays as it is. */
static int child(void) {
  static unsigned seen[PAGES];
  for (unsigned i = 0; i < PAGES; i++)
    seen[i] = memory[i * (PAGE / sizeof *memory)];
  for (int round = 0; round < 5; round++) {
    for (unsigned i = 0; i < PAGES; i++)
      if (memory[i * (PAGE / sizeof *memory)] != seen[i])
        return 1;
    usleep(300);
  }
  return 0;
}

/* Forks as the others do; who is odd ends by exec. */
static int forker(void *arg) {
  for (int i = 0; i < 20; i++) {
    int status;
    pid_t c = fork();
    if (c == 0)
      _exit(7);
    if (c < 0 || waitpid(c, &status, 0) != c || status != 7 << 8)
      return 1;
  }
  if ((long)arg % 2)
    execl("/proc/self/exe", "fork_beside", "end", NULL);
  return 0;
}

/* Several that share memory all fork at once. */
static void all_fork(void) {
  enum { KIN = 6 };
  static char stacks[KIN][65536] __attribute__((aligned(16)));
  pid_t pids[KIN];
  int status;
  for (long i = 0; i < KIN; i++) {
    pids[i] = clone(forker, stacks[i] + sizeof stacks[i], CLONE_VM | SIGCHLD, (void *)i);
    CHECK(pids[i] > 0);
  }
  CHECK(forker(NULL) == 0);
  for (int i = 0; i < KIN; i++) {
    CHECK(waitpid(pids[i], &status, 0) == pids[i]);
    CHECK(status == 0);
  }
}

int main(int argc, char **argv) {
  (void)argv;
  if (argc > 1)
    return 0;
  static char stack[65536] __attribute__((aligned(16)));
  memory = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(memory != MAP_FAILED);
  int pid = clone(writer, stack + sizeof stack, CLONE_VM | SIGCHLD, NULL);
  CHECK(pid > 0);
  while (rounds == 0)
    usleep(100);
  int bad = 0, status;
  for (int i = 0; i < FORKS; i++) {
    pid_t c = fork();
    CHECK(c >= 0);
    if (c == 0)
      _exit(child());
    CHECK(waitpid(c, &status, 0) == c);
    bad += status != 0;
  }
  stop = 1;
  CHECK(waitpid(pid, &status, 0) == pid);
  CHECK(status == 0);
  CHECK(lost == 0);
  CHECK(bad == 0);
  all_fork();
  puts("ok");
  return 0;
}
