/* SPDX-License-Identifier: MIT */
/* Files mapped private and shared: contents, writing back, the tail page, after close and unlink.
 */
#include "check.h"
#include <sys/mman.h>

int main(void) {
  char buf[10];
  int fd = OK(open("map.tmp", O_RDWR | O_CREAT | O_TRUNC, 0600));
  for (int i = 0; i < 3000; i++)
    EXPECT(write(fd, "abcd", 4), 4);
  char *priv = OK((char *)mmap(NULL, 12000, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0));
  CHECK(!memcmp(priv, "abcdabcd", 8) && !memcmp(priv + 11996, "abcd", 4));
  EXPECT(priv[12100], 0);
  priv[0] = 'X';
  EXPECT(pread(fd, buf, 1, 0), 1);
  EXPECT(buf[0], 'a');
  char *at = OK((char *)mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 4096));
  EXPECT(at[1], 'b');
  IN_CHILD {
    CHECK(priv[0] == 'X' && priv[1] == 'b');
    priv[1] = 'Y';
  }
  END_CHILD(0);
  EXPECT(priv[1], 'b');
  FAILS(mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 100), EINVAL);
  OK(close(fd));
  OK(unlink("map.tmp"));
  EXPECT(priv[8000], 'a');
  OK(munmap(priv, 12000));
  int dir = OK(open("/", O_RDONLY));
  FAILS(mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, dir, 0), ENODEV);
  return done();
}
