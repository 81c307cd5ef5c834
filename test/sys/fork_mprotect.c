/* SPDX-License-Identifier: MIT */
/* Protections are inherited; changing them afterwards concerns one process only. */
#include "check.h"
#include <setjmp.h>
#include <sys/mman.h>

static sigjmp_buf out;
static void handler(int sig) {
  (void)sig;
  siglongjmp(out, 1);
}

static int writes(volatile char *p) {
  if (sigsetjmp(out, 1))
    return 0;
  *p = 'w';
  return 1;
}
static int reads(volatile char *p) {
  if (sigsetjmp(out, 1))
    return 0;
  (void)*p;
  return 1;
}

int main(void) {
  handle(SIGSEGV, handler, 0);
  char *m =
      OK((char *)mmap(NULL, 3 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  memset(m, 'x', 3 * 4096);
  OK(mprotect(m, 4096, PROT_READ));
  OK(mprotect(m + 4096, 4096, PROT_NONE));
  IN_CHILD {
    CHECK(reads(m) && !writes(m));
    CHECK(!reads(m + 4096) && !writes(m + 4096));
    CHECK(reads(m + 8192) && writes(m + 8192));
    OK(mprotect(m, 3 * 4096, PROT_READ | PROT_WRITE));
    EXPECT(m[4096], 'x');
    CHECK(writes(m) && writes(m + 4096));
  }
  END_CHILD(0);
  CHECK(!writes(m) && !reads(m + 4096) && m[8192] == 'x');
  IN_CHILD {
    OK(mprotect(m + 8192, 4096, PROT_READ));
    CHECK(!writes(m + 8192));
  }
  END_CHILD(0);
  CHECK(writes(m + 8192));
  return done();
}
