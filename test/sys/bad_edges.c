/* SPDX-License-Identifier: MIT */
/* Buffers that run into unmapped memory: short counts or EFAULT, strings without an end, lengths.
 */
#include "check.h"
#include <limits.h>
#include <sys/mman.h>
#include <sys/uio.h>

int main(void) {
  char *m =
      OK((char *)mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  OK(munmap(m + 4096, 4096));
  memset(m, 'a', 4096);
  char *end = m + 4096;
  FAILS(open(end - 5, O_RDONLY), EFAULT); /* no terminator before the hole */
  memcpy(end - 5, "/tmp", 5);
  OK(close(OK(open(end - 5, O_RDONLY)))); /* the last byte is the terminator */
  memset(m, 'a', 4096);
  static char longest[PATH_MAX + 10];
  memset(longest, 'x', sizeof longest - 1);
  FAILS(open(longest, O_RDONLY), ENAMETOOLONG);
  memset(longest, '/', sizeof longest - 1);
  FAILS(open(longest, O_RDONLY), ENAMETOOLONG);
  memset(longest, 'x', 256);
  longest[256] = 0;
  FAILS(open(longest, O_RDONLY | O_CREAT, 0600), ENAMETOOLONG);
  FAILS(open("", O_RDONLY), ENOENT);

  int p[2];
  OK(pipe(p));
  OK(fcntl(p[0], F_SETFL, O_NONBLOCK));
  FAILS(write(p[1], end, 1), EFAULT);
  volatile size_t huge_length = (size_t)SSIZE_MAX + 1;
  FAILS(write(p[1], (char *)16, huge_length), EFAULT);
  ssize_t n = write(p[1], end - 100, 300); /* up to the hole or nothing */
  CHECK((n == -1 && errno == EFAULT) || n == 100);
  char buf[1000];
  while (read(p[0], buf, sizeof buf) > 0)
    ;
  EXPECT(write(p[1], "0123456789", 10), 10);
  FAILS(read(p[0], end, 10), EFAULT);
  n = read(p[0], buf, 10); /* nothing was lost by the failed read */
  EXPECT(n, 10);
  struct iovec v[2] = {{buf, 10}, {(char *)16, 10}};
  int zero = OK(open("/dev/zero", O_RDONLY));
  n = readv(zero, v, 2);
  CHECK((n == -1 && errno == EFAULT) || n == 10);
  struct iovec huge[2] = {{buf, SIZE_MAX}, {buf, 1}};
  FAILS(readv(zero, huge, 2), EINVAL);
  struct iovec many[3] = {{buf, 1}, {buf, 1}, {buf, 1}};
  volatile int too_many = 100000;
  FAILS(readv(zero, many, too_many), EINVAL);
  EXPECT(write(p[1], (char *)16, 0) <= 0, 1);
  return done();
}
