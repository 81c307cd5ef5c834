/* SPDX-License-Identifier: MIT */
/* The same small range mapped and unmapped all the time, as allocators do: new memory each time,
   with a child that comes between, with a larger mapping over it, with its protection changed. */
#include "check.h"
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE 4096
#define LEN (4 * PAGE)

static void must_be_new(const char *m, size_t len) {
  for (size_t i = 0; i < len; i += 64)
    EXPECT(m[i], 0);
}

static char *again(char *at, int times) {
  for (int i = 0; i < times; i++) {
    char *m = mmap(at, LEN, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(m != MAP_FAILED);
    must_be_new(m, LEN);
    memset(m, 0x5e, LEN);
    OK(munmap(m, LEN));
    at = m;
  }
  return at;
}

int main(void) {
  char *at = again(NULL, 20);
  for (int i = 0; i < 5; i++) {
    pid_t child = fork();
    OK(child);
    if (child == 0) {
      again(at, 10);
      _exit(7);
    }
    int status;
    at = again(at, 10);
    OK(waitpid(child, &status, 0));
    EXPECT(WEXITSTATUS(status), 7);
  }
  char *m = mmap(at, 3 * LEN, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(m != MAP_FAILED);
  must_be_new(m, 3 * LEN);
  OK(munmap(m, 3 * LEN));
  at = again(at, 10);
  m = mmap(at, LEN, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(m != MAP_FAILED);
  must_be_new(m, LEN);
  OK(mprotect(m, LEN, PROT_READ | PROT_WRITE));
  memset(m, 1, LEN);
  OK(munmap(m + PAGE, PAGE));
  EXPECT(m[0] + m[2 * PAGE], 2);
  FAILS(mprotect(m, LEN, PROT_READ), ENOMEM);
  OK(munmap(m, LEN));
  again(at, 10);
  return done();
}
