/* SPDX-License-Identifier: MIT */
/* mmap, munmap, MAP_FIXED, holes, mremap, mincore-free checks of what is readable, errors. */
#include "check.h"
#include <setjmp.h>
#include <sys/mman.h>
#include <sys/syscall.h>

enum { PAGE = 4096 };

static sigjmp_buf out;
static void handler(int sig) {
  (void)sig;
  siglongjmp(out, 1);
}
static int readable(volatile char *p) {
  if (sigsetjmp(out, 1))
    return 0;
  (void)*p;
  return 1;
}
static char *map(void *at, size_t pages, int flags) {
  return mmap(at, pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);
}

int main(void) {
  handle(SIGSEGV, handler, 0);
  char *m = OK(map(NULL, 10, 0));
  CHECK(((uintptr_t)m & (PAGE - 1)) == 0);
  for (int i = 0; i < 10; i++)
    m[i * PAGE] = (char)(i + 1);
  OK(munmap(m + 3 * PAGE, 2 * PAGE));
  for (int i = 0; i < 10; i++)
    EXPECT(readable(m + i * PAGE), i != 3 && i != 4);
  OK(munmap(m + 3 * PAGE, 2 * PAGE)); /* nothing there is no error */
  CHECK(map(m + 4 * PAGE, 3, MAP_FIXED) == m + 4 * PAGE);
  for (int i = 0; i < 10; i++)
    if (i != 3)
      EXPECT(m[i * PAGE], i >= 4 && i < 7 ? 0 : i + 1);
  OK(munmap(m, 10 * PAGE));
  EXPECT(readable(m + 9 * PAGE), 0);

  m = OK(map(NULL, 4, 0));
  memset(m, 'r', 4 * PAGE);
  char *grown = OK((char *)mremap(m, 4 * PAGE, 1000 * PAGE, MREMAP_MAYMOVE));
  CHECK(grown[0] == 'r' && grown[4 * PAGE - 1] == 'r' && grown[4 * PAGE] == 0 &&
        grown[1000 * PAGE - 1] == 0);
  CHECK(mremap(grown, 1000 * PAGE, 2 * PAGE, 0) == grown);
  EXPECT(readable(grown + 2 * PAGE), 0);
  EXPECT(grown[2 * PAGE - 1], 'r');
  OK(munmap(grown, 2 * PAGE));

  FAILS(map(NULL, 0, 0), EINVAL);
  FAILS(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, 99, 0), EBADF);
  FAILS(mmap(NULL, PAGE, PROT_READ, MAP_ANONYMOUS, -1, 0), EINVAL);
  FAILS(munmap((char *)PAGE + 1, PAGE), EINVAL);
  FAILS(syscall(SYS_mprotect, m + 1, PAGE, PROT_READ), EINVAL);
  FAILS(mprotect(grown, PAGE, PROT_READ), ENOMEM);
  char *none = OK((char *)mmap(NULL, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  EXPECT(readable(none), 0);
  OK(mprotect(none, PAGE, PROT_READ));
  CHECK(readable(none) && *none == 0);
  return done();
}
