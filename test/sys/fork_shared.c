/* SPDX-License-Identifier: MIT */
/* MAP_SHARED anonymous memory is one memory for parent, child and grandchild. */
#include "check.h"
#include <sys/mman.h>

int main(void) {
  volatile int *shared =
      OK((int *)mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  int *priv =
      OK((int *)mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  shared[0] = priv[0] = 1;
  IN_CHILD {
    EXPECT(shared[0], 1);
    shared[0] = priv[0] = 2;
    shared[1 << 17] = 4; /* a page that nobody had touched */
    IN_CHILD { shared[1] = shared[0] + 1; }
    END_CHILD(0);
    EXPECT(shared[1], 3);
  }
  END_CHILD(0);
  CHECK(shared[0] == 2 && shared[1] == 3 && shared[1 << 17] == 4);
  EXPECT(priv[0], 1);
  IN_CHILD {
    for (int i = 0; i < 100000; i++)
      __atomic_fetch_add(&shared[2], 1, __ATOMIC_SEQ_CST);
  }
  END_CHILD(0);
  EXPECT(shared[2], 100000);
  OK(munmap((void *)shared, 1 << 20));
  return done();
}
