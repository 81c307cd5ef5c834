/* SPDX-License-Identifier: MIT */
/*
 * Reading every page of the address space that a pointer can name, with any upper half, a process
 * finds its own memory or SIGSEGV, never the secret of another process that is alive.
 */
/* test: only=ufork timeout=100 */
#include "check.h"
#include <setjmp.h>
#include <sys/mman.h>

enum { PAGE = 4096, SECRETS = 4 << 20 };

static sigjmp_buf out;
static void handler(int sig) {
  (void)sig;
  siglongjmp(out, 1);
}

static int reads(uintptr_t at, uint64_t *value) {
  if (sigsetjmp(out, 0))
    return 0;
  *value = *(volatile uint64_t *)at;
  return 1;
}

static uint64_t hash(uint64_t word) { return word * 0x9e3779b97f4a7c15u; }
static volatile uint64_t cover = 0x1357;

int main(void) {
  int ready[2], gate[2];
  OK(pipe(ready)), OK(pipe(gate));
  pid_t holder = OK(fork());
  if (holder == 0) { /* its region is another one: what it writes is its own */
    uint64_t *m = OK((uint64_t *)mmap(NULL, SECRETS, PROT_READ | PROT_WRITE,
                                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    for (int i = 0; i < SECRETS / 8; i++)
      m[i] = 0x5ec2e7c0ffee0000u ^ cover;
    tell(ready[1]);
    await(gate[0]);
    _exit(0);
  }
  await(ready[0]);
  handle(SIGSEGV, handler, SA_NODEFER);
  const uint64_t wanted = hash(0x5ec2e7c0ffee0000u ^ 0x1357);
  long readable = 0, faults = 0;
  uint64_t value;
  static const uintptr_t upper[] = {0, 1ul << 32, 2ul << 32, 0x7fffffff00000000, ~0ul << 32};
  for (size_t u = 0; u < sizeof upper / sizeof *upper; u++)
    for (uintptr_t page = 0; page < 1ul << 32; page += u ? 997 * PAGE : 4 * PAGE) {
      if (!reads(upper[u] + page + 8, &value)) {
        faults++;
        continue;
      }
      readable++;
      CHECK(hash(value) != wanted);
    }
  CHECK(readable > 0 && faults > 1000);
  EXPECT(reads(0, &value), 0);
  EXPECT(reads(0xfff8, &value), 0);   /* null guard */
  EXPECT(reads(0x200000, &value), 0); /* code cannot be read as data */
  EXPECT(reads((uintptr_t)main, &value), 0);
  tell(gate[1]);
  EXPECT_EXIT(holder, 0);
  return done();
}
