/* SPDX-License-Identifier: MIT */
/* Looking at how much of a mapped file is in memory does not move the position in the file. */
/* test: options=--dir=/host:.,--workdir=/host */
#include "check.h"
#include <sys/mman.h>

static void read_smaps(void) {
  char buf[4096];
  int fd = OK(open("/proc/self/smaps", O_RDONLY));
  while (OK(read(fd, buf, sizeof buf)) > 0)
    ;
  close(fd);
}

int main(void) {
  int fd = OK(open("mapped.tmp", O_RDWR | O_CREAT | O_TRUNC | O_APPEND, 0600));
  EXPECT(write(fd, "first", 5), 5);
  EXPECT(ftruncate(fd, 8192), 0); /* the second page is a hole */
  char *p = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
  CHECK(p != MAP_FAILED);
  EXPECT(write(fd, "last", 4), 4);
  read_smaps();
  EXPECT(lseek(fd, 0, SEEK_CUR), 8196);
  EXPECT(memcmp(p, "first", 5), 0);
  EXPECT(unlink("mapped.tmp"), 0);
  return done();
}
