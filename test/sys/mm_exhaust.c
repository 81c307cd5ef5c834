/* SPDX-License-Identifier: MIT */
/* More memory than there is: mmap and malloc say ENOMEM, and the process goes on. */
#include "check.h"
#include <sys/mman.h>

int main(void) {
  CHECK(mmap(NULL, 1ull << 47, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED);
  EXPECT(errno, ENOMEM);
  CHECK(mmap(NULL, ~0xfffull, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED);
  EXPECT(errno, ENOMEM);
  volatile size_t huge = (size_t)1 << 47;
  void *volatile none = malloc(huge); /* an unused result could be imagined */
  CHECK(!none);
  char *p = malloc(1 << 20);
  CHECK(p);
  memset(p, 1, 1 << 20);
  for (int i = 0; i < 2000; i++) { /* address space is given back */
    char *m = OK(
        (char *)mmap(NULL, 64 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    m[i * 4096] = 1;
    OK(munmap(m, 64 << 20));
  }
  return done();
}
