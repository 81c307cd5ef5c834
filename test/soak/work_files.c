/* SPDX-License-Identifier: MIT */
/* Files in the job's directory that several processes write: records appended are whole, counters
   under locks of three kinds lose nothing, names come and go. */
#include "soak.h"
#include <sys/file.h>

#define RECORD 64

struct record {
  uint32_t writer, number;
  char text[RECORD - 8];
};

static void append(const char *name, unsigned writer, unsigned n, uint64_t seed) {
  int fd = OK(open(name, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600));
  for (uint32_t i = 0; i < n; i++) {
    struct record rec = {writer, i, ""};
    pattern_fill(rec.text, sizeof rec.text, seed, writer * 1000 + i);
    write_full(fd, &rec, sizeof rec);
  }
  OK(close(fd));
}

static void check_records(const char *name, unsigned writers, unsigned n, uint64_t seed) {
  uint32_t next[4] = {0};
  struct record rec;
  int fd = OK(open(name, O_RDONLY | O_CLOEXEC));
  while (read_full(fd, &rec, sizeof rec) == sizeof rec) {
    CHECK(rec.writer < writers);
    EXPECT(rec.number, next[rec.writer]++);
    EXPECT(pattern_check(rec.text, sizeof rec.text, seed, rec.writer * 1000 + rec.number), -1);
  }
  for (unsigned i = 0; i < writers; i++)
    EXPECT(next[i], n);
  OK(close(fd));
}

static void lock_file(int fd, int kind, bool on) {
  struct flock l = {.l_type = on ? F_WRLCK : F_UNLCK, .l_whence = SEEK_SET, .l_len = 8};
  MARK();
  int r;
  do {
    if (kind == 0)
      r = flock(fd, on ? LOCK_EX : LOCK_UN);
    else
      r = fcntl(fd, kind == 1 ? F_SETLKW : F_OFD_SETLKW, &l);
  } while (r == -1 && errno == EINTR);
  OK(r);
}

static void count_up(const char *name, int kind, unsigned n) {
  int fd = OK(open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  for (unsigned i = 0; i < n; i++) {
    uint64_t v = 0;
    lock_file(fd, kind, true);
    OK(pread(fd, &v, sizeof v, 0));
    v++;
    EXPECT(pwrite(fd, &v, sizeof v, 0), sizeof v);
    lock_file(fd, kind, false);
  }
  OK(close(fd));
}

static void names(unsigned writer, unsigned n, uint64_t r) {
  char a[40], b[40];
  for (unsigned i = 0; i < n; i++) {
    snprintf(a, sizeof a, "n%u-%u", writer, below(&r, 5));
    snprintf(b, sizeof b, "n%u-%u", writer, below(&r, 5));
    MARK();
    switch (below(&r, 6)) {
    case 0:
    case 1: {
      int fd = OK(open(a, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
      write_full(fd, a, sizeof a);
      OK(close(fd));
      break;
    }
    case 2:
      if (rename(a, b) == -1)
        CHECK(errno == ENOENT || lean);
      break;
    case 3:
      if (link(a, b) == -1)
        CHECK(errno == ENOENT || errno == EEXIST || lean);
      break;
    case 4:
      if (symlink(a, "shared-link") == 0)
        unlink("shared-link");
      break;
    default:
      if (unlink(a) == -1)
        CHECK(errno == ENOENT);
    }
  }
}

/* A mapped file shows what is written to it and the other way round. */
static void mapped(uint64_t *r) {
  size_t n = 4096 * (1 + below(r, 8));
  char byte = (char)below(r, 100);
  int fd = OK(open("mapped", O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  OK(ftruncate(fd, (off_t)n));
  char *p = OK(mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
  pid_t pid = child();
  if (pid == 0) {
    p[n - 1] = byte;
    OK(msync(p, n, MS_SYNC));
    _exit(0);
  }
  EXPECT_EXIT(pid, 0);
  char got;
  EXPECT(pread(fd, &got, 1, (off_t)n - 1), 1);
  EXPECT(got, byte);
  EXPECT(pwrite(fd, "z", 1, 5), 1);
  EXPECT(p[5], 'z');
  OK(munmap(p, n));
  OK(close(fd));
}

void job_files(uint64_t *r) {
  unsigned writers = 1 + below(r, 4), n = 1 + below(r, 60);
  uint64_t seed = rnd(r);
  int kind = (int)below(r, 3);
  pid_t pids[4];
  for (unsigned i = 0; i < writers; i++) {
    pids[i] = child();
    if (pids[i] == 0) {
      append("records", i, n, seed);
      count_up("counter", kind, n);
      names(i, n, mix(seed, i));
      _exit(0);
    }
  }
  mapped(r);
  for (unsigned i = 0; i < writers; i++)
    EXPECT_EXIT(pids[i], 0);
  check_records("records", writers, n, seed);
  uint64_t v = 0;
  int fd = OK(open("counter", O_RDONLY | O_CLOEXEC));
  EXPECT(read_full(fd, &v, sizeof v), sizeof v);
  EXPECT(v, writers * n);
  OK(close(fd));
}
