/* SPDX-License-Identifier: MIT */
/* Private mappings of every kind through fork, and what is mapped afterwards stays one's own. */
#include "check.h"
#include <sys/mman.h>

static char *map(size_t size, int flags) {
  return OK((char *)mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | flags, -1, 0));
}

int main(void) {
  char *small = map(4096, MAP_ANONYMOUS), *large = map(64 << 20, MAP_ANONYMOUS);
  strcpy(small, "small");
  for (size_t i = 0; i < 64 << 20; i += 1 << 20)
    large[i] = (char)(i >> 20);
  IN_CHILD {
    CHECK(!strcmp(small, "small"));
    for (size_t i = 0; i < 64 << 20; i += 1 << 20)
      CHECK(large[i] == (char)(i >> 20) && large[i + 4096] == 0);
    OK(munmap(small, 4096));
    char *own = map(1 << 20, MAP_ANONYMOUS);
    memset(own, 7, 1 << 20);
    large[5 << 20] = 99;
  }
  END_CHILD(0);
  CHECK(!strcmp(small, "small"));
  EXPECT(large[5 << 20], 5);
  char *next = map(1 << 20, MAP_ANONYMOUS);
  for (size_t i = 0; i < 1 << 20; i++)
    EXPECT(next[i], 0);
  return done();
}
