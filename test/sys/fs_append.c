/* SPDX-License-Identifier: MIT */
/*
 * Processes that share an open file append to it: each record stays in one piece, whatever pieces
 * of memory it comes from, each process's come in order, and the common position is always between
 * two records.
 */
/* test: timeout=60 options=--dir=/host:.,--workdir=/host */
#include "check.h"
#include <sys/stat.h>
#include <sys/uio.h>

enum { WRITERS = 4, RECORDS = 300, PIECES = 32 };

struct record {
  int writer, number;
  char rest[56];
};

static struct record make(int writer, int number) {
  struct record r = {writer, number, ""};
  memset(r.rest, 'a' + (writer * 7 + number) % 26, sizeof r.rest);
  return r;
}

static void append(int fd, int writer, int number) {
  struct record r = make(writer, number);
  struct iovec v[PIECES];
  int pieces = number % 3 == 0 ? 1 : number % 3 == 1 ? 4 : PIECES;
  for (int i = 0; i < pieces; i++)
    v[i] = (struct iovec){(char *)&r + i * (int)sizeof r / pieces, sizeof r / (size_t)pieces};
  if (pieces == 1)
    EXPECT(write(fd, &r, sizeof r), sizeof r);
  else
    EXPECT(writev(fd, v, pieces), sizeof r);
}

/* Somebody who asks for the position while others move it. */
static void look(int fd, int stop) {
  off_t before = 0;
  char c;
  while (read(stop, &c, 1) < 0) {
    off_t at = OK(lseek(fd, 0, SEEK_CUR));
    CHECK(at >= before && at % (off_t)sizeof(struct record) == 0);
    before = at;
  }
  _exit(0);
}

static void check_records(int fd) {
  int next[WRITERS] = {0};
  struct record r, expected;
  for (int i = 0; i < WRITERS * RECORDS; i++) {
    EXPECT(pread(fd, &r, sizeof r, i * (off_t)sizeof r), sizeof r);
    CHECK(r.writer >= 0 && r.writer < WRITERS);
    EXPECT(r.number, next[r.writer]++);
    expected = make(r.writer, r.number);
    CHECK(!memcmp(&r, &expected, sizeof r));
  }
}

int main(void) {
  int fd = OK(open("append.tmp", O_RDWR | O_CREAT | O_TRUNC | O_APPEND, 0600)), stop[2];
  pid_t writers[WRITERS], looker;
  OK(pipe2(stop, O_NONBLOCK));
  looker = OK(fork());
  if (looker == 0) {
    OK(close(stop[1]));
    look(fd, stop[0]);
  }
  for (int w = 0; w < WRITERS; w++) {
    writers[w] = OK(fork());
    if (writers[w] == 0) {
      for (int n = 0; n < RECORDS; n++)
        append(fd, w, n);
      _exit(0);
    }
  }
  for (int w = 0; w < WRITERS; w++)
    EXPECT_EXIT(writers[w], 0);
  OK(close(stop[1]));
  EXPECT_EXIT(looker, 0);
  struct stat st;
  OK(fstat(fd, &st));
  EXPECT(st.st_size, WRITERS * RECORDS * sizeof(struct record));
  EXPECT(lseek(fd, 0, SEEK_CUR), st.st_size);
  check_records(fd);

  /* Not an appender any more: it goes on where it is, not at the end. */
  EXPECT(lseek(fd, 10, SEEK_SET), 10);
  OK(fcntl(fd, F_SETFL, 0));
  EXPECT(write(fd, "0123", 4), 4);
  EXPECT(lseek(fd, 0, SEEK_CUR), 14);
  OK(fstat(fd, &st));
  EXPECT(st.st_size, WRITERS * RECORDS * sizeof(struct record));
  OK(unlink("append.tmp"));
  return done();
}
