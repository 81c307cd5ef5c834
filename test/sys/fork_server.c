/* SPDX-License-Identifier: MIT */
/*
 * The pattern of a database that saves itself: a parent goes on changing a large table while a
 * child writes the state at its fork to a file, again and again; every file is consistent.
 */
/* test: timeout=120 */
#include "check.h"

enum { ENTRIES = 1 << 16, SAVES = 15 };

struct entry {
  uint32_t key, version;
};

static struct entry *table;
static uint32_t version;

/* One transaction: moves the same version to a pair of entries far apart. */
static void change(uint64_t *seed) {
  uint32_t i = (uint32_t)(rnd(seed) % (ENTRIES / 2));
  table[i].version = table[i + ENTRIES / 2].version = ++version;
}

static void save(const char *name, uint32_t at) {
  int fd = OK(open(name, O_WRONLY | O_CREAT | O_TRUNC, 0600));
  size_t n = ENTRIES * sizeof *table;
  for (size_t done_bytes = 0; done_bytes < n;)
    done_bytes += (size_t)OK(write(fd, (char *)table + done_bytes, n - done_bytes));
  EXPECT(version, at);
  _exit(0);
}

static void check_file(const char *name, uint32_t at) {
  int fd = OK(open(name, O_RDONLY));
  struct entry *saved = malloc(ENTRIES * sizeof *saved);
  for (size_t n = 0; n < ENTRIES * sizeof *saved;)
    n += (size_t)OK(read(fd, (char *)saved + n, ENTRIES * sizeof *saved - n));
  uint32_t newest = 0;
  for (uint32_t i = 0; i < ENTRIES / 2; i++) {
    CHECK(saved[i].key == i && saved[i].version == saved[i + ENTRIES / 2].version);
    if (saved[i].version > newest)
      newest = saved[i].version;
  }
  EXPECT(newest, at);
  free(saved);
  OK(close(fd));
  OK(unlink(name));
}

int main(void) {
  table = malloc(ENTRIES * sizeof *table);
  for (uint32_t i = 0; i < ENTRIES; i++)
    table[i] = (struct entry){i, 0};
  uint64_t seed = 5;
  for (int s = 0; s < SAVES; s++) {
    for (int i = 0; i < 3000; i++)
      change(&seed);
    uint32_t at = version;
    pid_t pid = OK(fork());
    if (pid == 0)
      save("save.tmp", at);
    int status;
    while (waitpid(pid, &status, WNOHANG) == 0)
      for (int i = 0; i < 200; i++)
        change(&seed);
    EXPECT(status, 0);
    check_file("save.tmp", at);
  }
  return done();
}
