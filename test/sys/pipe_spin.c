/* SPDX-License-Identifier: MIT */
/* A writer that goes on computing after it has woken a reader does not keep the reader from
   running: each of several readers in turn, and also while the writer wakes others. */
#include "check.h"
#include <sys/mman.h>

#define READERS 4
#define ROUNDS 20

static volatile int *seen;

static void reader(int me, int fd) {
  char c;
  for (int i = 0; i < ROUNDS; i++) {
    EXPECT(read(fd, &c, 1), 1);
    seen[me] = i + 1;
  }
  EXPECT(read(fd, &c, 1), 0);
  _exit(0);
}

static void spin_until_seen(int who, int round) {
  while (seen[who] < round) /* a test that hangs fails */
    time(NULL);
}

int main(void) {
  int fds[READERS];
  pid_t pids[READERS];
  seen = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  CHECK(seen != MAP_FAILED);
  for (int i = 0; i < READERS; i++) {
    int p[2];
    OK(pipe2(p, O_CLOEXEC));
    pids[i] = OK(fork());
    if (pids[i] == 0) {
      close(p[1]);
      for (int k = 0; k < i; k++)
        close(fds[k]);
      reader(i, p[0]);
    }
    close(p[0]);
    fds[i] = p[1];
  }
  for (int round = 1; round <= ROUNDS; round++) {
    int together = round % 2;
    for (int i = 0; i < READERS; i++) {
      EXPECT(write(fds[i], "x", 1), 1);
      if (!together)
        spin_until_seen(i, round);
    }
    for (int i = 0; together && i < READERS; i++)
      spin_until_seen(i, round);
  }
  for (int i = 0; i < READERS; i++)
    close(fds[i]);
  for (int i = 0; i < READERS; i++)
    EXPECT_EXIT(pids[i], 0);
  return done();
}
