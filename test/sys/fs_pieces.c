/* SPDX-License-Identifier: MIT */
/*
 * A file that is written in many small pieces, one right after the other: others see each piece as
 * soon as they can know of it, whatever comes between two pieces, and all are there when the
 * writer is killed.
 */
/* test: timeout=60 options=--dir=/host:.,--workdir=/host */
#include "check.h"
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/uio.h>

enum { PIECE = 96, MANY = 20000, MODEL = 1 << 19 };

static const char name[] = "pieces.tmp";

static int create(void) { return OK(open(name, O_RDWR | O_CREAT | O_TRUNC, 0600)); }

static unsigned char byte_at(off_t at) { return (unsigned char)(at * 7 + (at >> 8)); }

static void fill(unsigned char *to, off_t at, size_t n) {
  for (size_t i = 0; i < n; i++)
    to[i] = byte_at(at + (off_t)i);
}

static off_t size_of(int fd) {
  struct stat st;
  OK(fstat(fd, &st));
  return st.st_size;
}

/* From `from` on the file has what fill makes, up to its end. */
static void check_from(int fd, off_t from) {
  unsigned char got[4096], expected[4096];
  ssize_t n;
  while ((n = OK(pread(fd, got, sizeof got, from))) > 0) {
    fill(expected, from, (size_t)n);
    CHECK(!memcmp(got, expected, (size_t)n));
    from += n;
  }
}

static off_t stream(int fd, off_t at, int pieces) {
  unsigned char piece[PIECE];
  for (int i = 0; i < pieces; i++, at += PIECE) {
    fill(piece, at, PIECE);
    EXPECT(write(fd, piece, PIECE), PIECE);
  }
  return at;
}

/* The writer says how far it is; the reader finds that much. */
static void told(void) {
  int fd = create(), news[2];
  off_t at = 0, before = 0;
  OK(pipe(news));
  pid_t pid = OK(fork());
  if (pid == 0) {
    int own = OK(open(name, O_WRONLY));
    for (int i = 0; i < 300; i++) {
      at = stream(own, at, 1 + i * 7 % 90);
      EXPECT(write(news[1], &at, sizeof at), sizeof at);
    }
    _exit(0);
  }
  OK(close(news[1]));
  while (OK(read(news[0], &at, sizeof at)) == sizeof at) {
    CHECK(size_of(fd) >= at);
    check_from(fd, before);
    before = at;
  }
  EXPECT_EXIT(pid, 0);
  EXPECT(size_of(fd), before);
  OK(close(news[0]));
  OK(close(fd));
}

/* Somebody who is told nothing sees it grow; then the writer is killed, and no piece is torn. */
static void killed(void) {
  int fd = create();
  pid_t pid = OK(fork());
  if (pid == 0) {
    int own = OK(open(name, O_WRONLY));
    stream(own, 0, INT32_MAX / PIECE);
    _exit(1);
  }
  off_t size = 0, now;
  while (size < 2000000) {
    now = size_of(fd);
    CHECK(now >= size);
    size = now;
  }
  OK(kill(pid, SIGKILL));
  wait_for(pid);
  size = size_of(fd);
  CHECK(size % PIECE == 0);
  check_from(fd, 0);
  EXPECT(size_of(fd), size);
  OK(close(fd));
}

/* ---- somebody who is told nothing, and has a clock ------------------------------------------- */

enum { LOOKS = 3000, SKEW = 100000 /* cycles between two CPUs' counters, at most */ };

struct stamped {
  uint64_t before; /* the counter just before the record was written */
  char rest[PIECE - 8];
};
static struct {
  uint64_t at;
  off_t size;
} looks[LOOKS];

/* What was there at each look: all but the last records that were written before it. */
static void check_looks(int fd) {
  struct stamped r;
  for (int i = 0; i < LOOKS; i++) {
    off_t last = looks[i].size / PIECE + 1; /* begun when one that was not seen had been written */
    EXPECT(pread(fd, &r, sizeof r, last * PIECE), sizeof r);
    CHECK(r.before + SKEW > looks[i].at);
  }
}

static void timed(void) {
  int fd = create(), stop[2];
  OK(pipe2(stop, O_NONBLOCK));
  pid_t pid = OK(fork());
  if (pid == 0) {
    int own = OK(open(name, O_WRONLY));
    struct stamped r = {0, ""};
    OK(close(stop[1]));
    do {
      for (int i = 0; i < 1000; i++) {
        for (volatile int pause = 0; pause < 2000; pause++) {
        }
        r.before = __builtin_ia32_rdtsc();
        EXPECT(write(own, &r, sizeof r), sizeof r);
      }
    } while (read(stop[0], &r, 1) < 0);
    for (int i = 0; i < 2; i++)
      EXPECT(write(own, &r, sizeof r), sizeof r);
    _exit(0);
  }
  while (size_of(fd) < 100000) {
  }
  for (int i = 0; i < LOOKS; i++) {
    looks[i].at = __builtin_ia32_rdtsc();
    looks[i].size = size_of(fd);
  }
  OK(close(stop[1]));
  EXPECT_EXIT(pid, 0);
  check_looks(fd);
  OK(close(stop[0]));
  OK(close(fd));
}

/* Nobody closes, and the writer shares its position with its parent. */
static void left_open(void) {
  int fd = create();
  off_t at = stream(fd, 0, 500);
  pid_t pid = OK(fork());
  if (pid == 0) {
    stream(fd, at, MANY);
    raise(SIGTERM);
  }
  int status = wait_for(pid);
  CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
  at += (off_t)MANY * PIECE;
  EXPECT(lseek(fd, 0, SEEK_CUR), at);
  EXPECT(size_of(fd), at);
  at = stream(fd, at, 500);
  EXPECT(lseek(fd, 0, SEEK_END), at);
  check_from(fd, 0);
  OK(close(fd));
}

/* ---- a signal handler in between ------------------------------------------------------------- */

static int other;
static volatile off_t written;
static volatile int alarms;

static void look(int signo) {
  (void)signo;
  alarms++;
  if (size_of(other) < written)
    _exit(1);
}

static void interrupted(void) {
  pid_t pid = OK(fork());
  if (pid == 0) {
    int fd = create();
    unsigned char piece[PIECE];
    struct itimerval often = {{0, 1000}, {0, 1000}};
    other = OK(open(name, O_RDONLY));
    signal(SIGALRM, look);
    OK(setitimer(ITIMER_REAL, &often, NULL));
    while (alarms < 50) {
      fill(piece, written, PIECE);
      EXPECT(write(fd, piece, PIECE), PIECE);
      written += PIECE;
    }
    check_from(other, 0);
    _exit(0);
  }
  EXPECT_EXIT(pid, 0);
}

/* ---- against a model ------------------------------------------------------------------------- */

static unsigned char model[MODEL], got[MODEL];
static off_t size, position;
static uint32_t seed = 1;

static uint32_t below(uint32_t n) {
  seed = seed * 1664525 + 1013904223;
  return (uint32_t)((uint64_t)(seed >> 4) * n >> 28);
}

static void put(off_t at, const void *from, size_t n) {
  memcpy(model + at, from, n);
  size = at + (off_t)n > size ? at + (off_t)n : size;
}

static void pieces(int fd) {
  unsigned char piece[600];
  for (uint32_t i = below(400); i > 0 && position + 600 < MODEL; i--) {
    size_t n = 1 + below(below(8) ? 80 : 599), half = n / 3;
    for (size_t k = 0; k < n; k++)
      piece[k] = (unsigned char)below(256);
    struct iovec v[2] = {{piece, half}, {piece + half, n - half}};
    EXPECT(i % 3 ? write(fd, piece, n) : writev(fd, v, 2), n);
    put(position, piece, n);
    position += (off_t)n;
  }
}

static void other_step(int fd, int fd2) {
  unsigned char some[50];
  size_t n = 1 + below(49);
  off_t at = below(MODEL - 100);
  memset(some, (int)below(256), sizeof some);
  switch (below(8)) {
  case 0:
    position = OK(lseek(fd, at, SEEK_SET));
    break;
  case 1:
    position = OK(lseek(fd, 0, SEEK_END));
    EXPECT(position, size);
    break;
  case 2:
    EXPECT(pwrite(fd, some, n, at), n);
    put(at, some, n);
    break;
  case 3:
    EXPECT(pwrite(fd2, some, n, at), n);
    put(at, some, n);
    break;
  case 4:
    OK(ftruncate(below(2) ? fd : fd2, at));
    if (at < size)
      memset(model + at, 0, (size_t)(size - at));
    size = at;
    break;
  case 5:
    OK(fdatasync(fd2));
    break;
  case 6: { /* what is read is what was written; the position goes along */
    ssize_t r = OK(read(fd, got, n));
    EXPECT(r, position >= size ? 0 : position + (off_t)n > size ? size - position : (off_t)n);
    CHECK(!memcmp(got, model + position, (size_t)r));
    position += r;
    break;
  }
  default:
    EXPECT(size_of(fd2), size);
  }
}

static void modelled(void) {
  pid_t pid = OK(fork());
  if (pid == 0) {
    int fd = create(), fd2 = OK(open(name, O_RDWR));
    for (int round = 0; round < 1500; round++) {
      pieces(fd);
      other_step(fd, fd2);
      EXPECT(lseek(fd, 0, SEEK_CUR), position);
      if (round % 50 == 0) {
        EXPECT(pread(fd2, got, MODEL, 0), size);
        CHECK(!memcmp(got, model, (size_t)size));
      }
    }
    _exit(0);
  }
  EXPECT_EXIT(pid, 0);
}

/* ---- odd ones -------------------------------------------------------------------------------- */

static void odd(void) {
  int fd = create();
  off_t at = stream(fd, 0, 200);
  unsigned char piece[PIECE];
  fill(piece, at, PIECE);
  FAILS(write(fd, (void *)8, 5), EFAULT);
  EXPECT(size_of(fd), at);
  at = stream(fd, at, 200);
  EXPECT(write(fd, piece, 0), 0);
  at = stream(fd, at, 200);
  int fd2 = OK(dup(fd));
  at = stream(fd2, at, 200); /* one position, two descriptors */
  at = stream(fd, at, 200);
  OK(close(fd2));
  at = stream(fd, at, 200);
  fd2 = OK(open("pieces2.tmp", O_RDWR | O_CREAT | O_TRUNC, 0600));
  off_t at2 = 0;
  for (int i = 0; i < 300; i++) { /* two files in turn */
    at = stream(fd, at, 1 + i % 3);
    at2 = stream(fd2, at2, 1 + i % 40);
  }
  at = stream(fd, at, 200);
  OK(dup2(fd2, fd)); /* the number is another file's now */
  at2 = stream(fd, at2, 200);
  EXPECT(size_of(fd2), at2);
  check_from(fd2, 0);
  OK(close(fd2));
  fd2 = OK(open(name, O_RDONLY));
  EXPECT(size_of(fd2), at);
  check_from(fd2, 0);
  OK(close(fd2));
  OK(close(fd));
  OK(unlink("pieces2.tmp"));
}

int main(void) {
  told();
  killed();
  timed();
  left_open();
  interrupted();
  modelled();
  odd();
  OK(unlink(name));
  return done();
}
