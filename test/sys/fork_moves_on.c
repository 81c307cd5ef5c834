/* SPDX-License-Identifier: MIT */
/*
 * What a large process does first after a fork for which a kernel has had time to prepare: it goes
 * on at once with calls of every kind, and with its stack and its brk heap, which grow meanwhile.
 * Both sides find all memory as it was, the arrays on the main stack included.
 */
/* test: timeout=600 */
#include "check.h"
#include <sys/mman.h>
#include <sys/syscall.h>

#define BYTES (24ul << 20)
#define WORDS (BYTES / 8)
#define STRIDE 64
#define FRAME 2500
#define BRK_STEP 40000
#define ROUNDS 24

static uint64_t *heap, *grown;
static unsigned long grown_words;
static uint64_t bss[3000];

static uint64_t value(unsigned long i, unsigned tag) { return i * 1000003 + tag; }

static void fill(volatile uint64_t *frame, unsigned tag) {
  for (unsigned long i = 0; i < WORDS; i += STRIDE)
    heap[i] = value(i, tag);
  for (unsigned i = 0; i < 3000; i += 100)
    bss[i] = value(i, tag + 1);
  for (unsigned i = 0; i < FRAME; i++)
    frame[i] = value(i, tag + 2);
  for (unsigned long i = 0; i < grown_words; i += 50)
    grown[i] = value(i, tag + 3);
}

static void verify(volatile uint64_t *frame, unsigned tag) {
  for (unsigned long i = 0; i < WORDS; i += STRIDE)
    EXPECT(heap[i], value(i, tag));
  for (unsigned i = 0; i < 3000; i += 100)
    EXPECT(bss[i], value(i, tag + 1));
  for (unsigned i = 0; i < FRAME; i++)
    EXPECT(frame[i], value(i, tag + 2));
  for (unsigned long i = 0; i < grown_words; i += 50)
    EXPECT(grown[i], value(i, tag + 3));
}

static void reap(pid_t pid) {
  int status;
  CHECK(pid > 0);
  EXPECT(waitpid(pid, &status, 0), pid);
  EXPECT(status, 0);
}

/* ---- what comes first ------------------------------------------------------------------------ */

/* No C library between this fork and the one before. */
static void fork_again(volatile uint64_t *frame, unsigned tag) {
  pid_t pid = (pid_t)syscall(SYS_fork);
  if (pid == 0) {
    verify(frame, tag);
    syscall(SYS_exit_group, 0);
  }
  reap(pid);
}

static void change_mask(void) {
  sigset_t set, old;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR1);
  for (int i = 0; i < 200; i++)
    EXPECT(sigprocmask(i % 2 ? SIG_UNBLOCK : SIG_BLOCK, &set, &old), 0);
}

static void run_another(void) {
  pid_t pid = vfork();
  if (pid == 0)
    _exit(0);
  reap(pid);
}

/* Deeper than the stack has ever been. */
static uint64_t go_down(unsigned depth) {
  volatile uint64_t frame[500];
  for (unsigned i = 0; i < 500; i++)
    frame[i] = depth + i;
  uint64_t below = depth ? go_down(depth - 1) : 0;
  for (unsigned i = 0; i < 500; i++)
    EXPECT(frame[i], depth + i);
  return below + 1;
}

static void grow_brk(unsigned tag) {
  long at = syscall(SYS_brk, 0); /* the C library's allocator is not used here */
  uint64_t *more = (uint64_t *)at;
  EXPECT(syscall(SYS_brk, at + BRK_STEP), at + BRK_STEP);
  grown = grown ? grown : more;
  CHECK(more == grown + grown_words);
  grown_words += BRK_STEP / 8;
  for (unsigned long i = 0; i < grown_words; i += 50)
    grown[i] = value(i, tag + 3);
}

static size_t read_file(const char *path, char *buf, size_t size) {
  int fd = OK(open(path, O_RDONLY));
  size_t n = (size_t)OK(read(fd, buf, size));
  close(fd);
  return n;
}

/* The child may not have run yet. */
static void look_at(pid_t child) {
  char path[64], mine[256], its[256];
  snprintf(path, sizeof path, "/proc/%d/cmdline", (int)child);
  size_t n = read_file("/proc/self/cmdline", mine, sizeof mine);
  CHECK(n > 0);
  EXPECT(read_file(path, its, sizeof its), n);
  EXPECT(memcmp(mine, its, n), 0);
}

static void map_anew(unsigned tag) {
  uint64_t *part = heap + WORDS / 2;
  EXPECT(munmap(part, BYTES / 8), 0);
  CHECK(mmap(part, BYTES / 8, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
             0) == part);
  for (unsigned long i = 0; i < WORDS / 8; i += STRIDE) {
    EXPECT(part[i], 0);
    part[i] = value(WORDS / 2 + i, tag);
  }
}

static void go_on(pid_t child, volatile uint64_t *frame, unsigned round, unsigned tag) {
  switch (round % 8) {
  case 0:
    fork_again(frame, tag);
    break;
  case 1:
    change_mask();
    break;
  case 2:
    run_another();
    break;
  case 3:
    EXPECT(go_down(20 * round), 20 * round + 1);
    break;
  case 4:
    grow_brk(tag);
    break;
  case 5:
    look_at(child);
    break;
  case 6:
    map_anew(tag);
    break;
  default: /* it computes */
    verify(frame, tag);
  }
}

/* ---- rounds ---------------------------------------------------------------------------------- */

static void child(volatile uint64_t *frame, unsigned round, unsigned tag) {
  if (round % 3 == 0)
    fork_again(frame, tag);
  if (round % 4 == 1) {
    EXPECT(go_down(300), 301);
    verify(frame, tag);
    grow_brk(tag);
  }
  verify(frame, tag);
  fill(frame, tag + 500);
  verify(frame, tag + 500);
  _exit(0);
}

int main(void) {
  volatile uint64_t frame[FRAME];
  heap = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(heap != MAP_FAILED);
  for (unsigned round = 0; round < ROUNDS; round++) {
    unsigned tag = round * 1000;
    fill(frame, tag);
    usleep(round % 3 ? 60000 : 300000); /* time to prepare, and not a fork per request */
    pid_t pid = (pid_t)(round % 5 == 4 ? syscall(SYS_fork) : fork());
    if (pid == 0)
      child(frame, round, tag);
    go_on(pid, frame, round, tag);
    verify(frame, tag);
    fill(frame, tag + 700); /* the child does not see this */
    reap(pid);
    verify(frame, tag + 700);
  }
  return done();
}
