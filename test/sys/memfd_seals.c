/* SPDX-License-Identifier: MIT */
/* Seals of memfds: what they forbid, from whatever descriptor, and when they cannot be set. */
#include "check.h"
#include <sys/mman.h>
#include <sys/stat.h>

#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x10
#endif
#define RW (PROT_READ | PROT_WRITE)

static int make(void) {
  int fd = OK(memfd_create("sealed", MFD_ALLOW_SEALING));
  EXPECT(fcntl(fd, F_GET_SEALS), 0);
  EXPECT(write(fd, "0123456789", 10), 10);
  return fd;
}

static void size_seals(void) {
  int fd = make();
  OK(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK));
  FAILS(ftruncate(fd, 5), EPERM);
  OK(ftruncate(fd, 20));
  OK(fcntl(fd, F_ADD_SEALS, F_SEAL_GROW));
  EXPECT(fcntl(fd, F_GET_SEALS), F_SEAL_SHRINK | F_SEAL_GROW);
  FAILS(ftruncate(fd, 30), EPERM);
  FAILS(posix_fallocate(fd, 0, 30) == EPERM ? (errno = EPERM, -1) : 0, EPERM);
  FAILS(pwrite(fd, "x", 1, 20), EPERM);
  EXPECT(pwrite(fd, "x", 1, 19), 1);
  char path[40];
  snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
  FAILS(open(path, O_RDWR | O_TRUNC), EPERM);
  FAILS(fcntl(fd, F_ADD_SEALS, 0x400), EINVAL);
  OK(fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL));
  FAILS(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), EPERM);
  OK(close(fd));
}

static void write_seal(void) {
  int fd = make();
  char *p = OK((char *)mmap(NULL, 4096, RW, MAP_SHARED, fd, 0));
  FAILS(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), EBUSY);
  IN_CHILD { OK(munmap(p, 4096)); } /* the parent's is still there */
  END_CHILD(0);
  FAILS(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), EBUSY);
  OK(munmap(p, 4096));
  OK(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE));
  FAILS(pwrite(fd, "x", 1, 0), EPERM);
  CHECK(mmap(NULL, 4096, RW, MAP_SHARED, fd, 0) == MAP_FAILED && errno == EPERM);
  p = OK((char *)mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0));
  EXPECT(p[3], '3');
  FAILS(mprotect(p, 4096, RW), EACCES);
  OK(munmap(p, 4096));
  p = OK((char *)mmap(NULL, 4096, RW, MAP_PRIVATE, fd, 0)); /* a copy is another's */
  p[0] = 'y';
  OK(munmap(p, 4096));
  char c;
  EXPECT(pread(fd, &c, 1, 0), 1);
  EXPECT(c, '0');
  OK(close(fd));
}

/* What is mapped already stays writable. */
static void future_write(void) {
  int fd = make();
  char *p = OK((char *)mmap(NULL, 4096, RW, MAP_SHARED, fd, 0));
  OK(fcntl(fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE));
  p[0] = 'z';
  FAILS(pwrite(fd, "x", 1, 0), EPERM);
  CHECK(mmap(NULL, 4096, RW, MAP_SHARED, fd, 0) == MAP_FAILED && errno == EPERM);
  char c;
  EXPECT(pread(fd, &c, 1, 0), 1);
  EXPECT(c, 'z');
  OK(munmap(p, 4096));
  OK(close(fd));
}

static void where_not(void) {
  int fd = OK(memfd_create("plain", 0));
  EXPECT(fcntl(fd, F_GET_SEALS), F_SEAL_SEAL);
  FAILS(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), EPERM);
  OK(close(fd));
  int p[2];
  OK(pipe(p));
  FAILS(fcntl(p[0], F_GET_SEALS), EINVAL);
  FAILS(fcntl(p[0], F_ADD_SEALS, F_SEAL_WRITE), EPERM);
  FAILS(fcntl(p[1], F_ADD_SEALS, F_SEAL_WRITE), EINVAL);
  fd = make();
  char path[40];
  snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
  int read_only = OK(open(path, O_RDONLY));
  FAILS(fcntl(read_only, F_ADD_SEALS, F_SEAL_WRITE), EPERM);
  OK(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE));
  EXPECT(fcntl(read_only, F_GET_SEALS), F_SEAL_WRITE);
  FAILS(memfd_create("x", 0x80), EINVAL);
}

int main(void) {
  size_seals();
  write_seal();
  future_write();
  where_not();
  return done();
}
