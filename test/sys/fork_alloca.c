/* SPDX-License-Identifier: MIT */
/* Blocks of alloca, variable-length use of the stack, and pointers into them survive fork. */
#include "check.h"
#include <alloca.h>

static int probe(size_t n) {
  char *block = alloca(n);
  char **into = alloca(16 * sizeof *into);
  for (size_t i = 0; i < n; i++)
    block[i] = (char)(i * 7);
  for (int i = 0; i < 16; i++)
    into[i] = block + i * (n / 16);
  IN_CHILD {
    for (int i = 0; i < 16; i++)
      CHECK(*into[i] == (char)((size_t)(into[i] - block) * 7));
    memset(block, 0, n);
  }
  END_CHILD(0);
  for (size_t i = 0; i < n; i++)
    CHECK(block[i] == (char)(i * 7));
  return 0;
}

int main(void) {
  for (size_t n = 16; n < 1 << 20; n = n * 3 + 16)
    probe(n);
  return done();
}
