/* SPDX-License-Identifier: MIT */
/*
 * A large process that is written all over while a child holds its snapshot: by two threads, and by
 * the kernel for a third one. µFork copies whole parts ahead of the writes then. Nothing of the
 * snapshot changes, no write is lost, and a second fork in the middle has what was there.
 */
/* test: timeout=300 */
#include "check.h"
#include <pthread.h>
#include <sys/mman.h>
#include <sys/socket.h>

#define PAGE 4096ul
#define PAGES (12288ul) /* 48 MiB */
#define LANES 3ul       /* page i belongs to thread i % LANES, the last of which calls the kernel */
#define ROUNDS 6

static uint64_t *heap;
static volatile int stop;
static uint64_t last[PAGES]; /* what each page's thread has written last */
static int file;

static uint64_t *page(unsigned long i) { return heap + i * (PAGE / 8); }

static void write_page(unsigned long i, uint64_t value) {
  EXPECT(page(i)[3], last[i]);
  EXPECT(page(i)[509], last[i]);
  if (i % LANES == LANES - 1) {
    uint64_t words[2] = {value, value};
    EXPECT(pwrite(file, words, sizeof(words), 0), (long)sizeof(words));
    EXPECT(pread(file, page(i) + 3, 8, 0), 8);
    EXPECT(pread(file, page(i) + 509, 8, 8), 8);
  } else {
    page(i)[3] = page(i)[509] = value;
  }
  last[i] = value;
}

static void *writer(void *arg) {
  unsigned long lane = (unsigned long)arg;
  uint64_t seed = lane * 77 + 1;
  while (!stop) {
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    write_page((seed >> 33) % (PAGES / LANES) * LANES + lane, seed);
  }
  return NULL;
}

static void verify(const uint64_t *then) {
  for (unsigned long i = 0; i < PAGES; i++) {
    EXPECT(page(i)[3], then[i]);
    EXPECT(page(i)[509], then[i]);
  }
}

/* Looks at its snapshot until it is told to end, so that it is there as long as the writers are. */
static void child(const uint64_t *then, int until) {
  char c;
  do
    verify(then);
  while (recv(until, &c, 1, MSG_DONTWAIT) != 0);
  verify(then);
  _exit(0);
}

/* While threads write no fork can know what they have written last. */
static void round_of(unsigned ms) {
  static uint64_t then[PAGES];
  pthread_t t[LANES];
  pid_t pid[2];
  int ends[2];
  memcpy(then, last, sizeof(then));
  CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
  for (int k = 0; k < 2; k++) {
    CHECK((pid[k] = fork()) >= 0);
    if (pid[k] == 0) {
      close(ends[0]);
      child(then, ends[1]);
    }
    stop = 0;
    for (unsigned long i = 0; i < LANES; i++)
      EXPECT(pthread_create(&t[i], NULL, writer, (void *)i), 0);
    sleep_ms(ms);
    stop = 1;
    for (unsigned long i = 0; i < LANES; i++)
      EXPECT(pthread_join(t[i], NULL), 0);
    verify(last);
    memcpy(then, last, sizeof(then));
  }
  close(ends[0]);
  close(ends[1]);
  for (int k = 0; k < 2; k++) {
    int status;
    EXPECT(waitpid(pid[k], &status, 0), pid[k]);
    EXPECT(status, 0);
  }
  verify(last);
}

int main(void) {
  char name[] = "/tmp/fork_written_XXXXXX";
  CHECK((file = mkstemp(name)) >= 0);
  unlink(name);
  heap = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(heap != MAP_FAILED);
  for (unsigned long i = 0; i < PAGES; i++)
    page(i)[3] = page(i)[509] = last[i] = i;
  for (int i = 0; i < ROUNDS; i++)
    round_of(i % 2 ? 20 : 150);
  return done();
}
