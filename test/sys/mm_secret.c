/* SPDX-License-Identifier: MIT */
/*
 * Nothing of a dead process is visible in a new one: children fill heap, stack, data and mappings
 * with a secret and die in every way; new children find none of it in memory they did not write.
 */
/* test: timeout=120 */
#include "check.h"
#include <alloca.h>
#include <sys/mman.h>

enum { MAPPED = 6 << 20, STACK = 200000, HEAP = 3 << 20 };

static char bss[300000];
static volatile uint64_t cover = 0x1357; /* the secret must not be in a constant */

static uint64_t secret(void) { return 0x5ec2e7c0ffee0000u ^ cover ^ 0x1357; }

/* Who searches knows a hash only: the secret itself would be found in dead frames of the stack. */
static volatile uint64_t hashed;
static uint64_t hash(uint64_t word) { return word * 0x9e3779b97f4a7c15u; }

static char *fresh(size_t size) {
  return OK((char *)mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
}

static void fill(void *at, size_t size) {
  uint64_t *p = at;
  for (size_t i = 0; i < size / 8; i++)
    p[i] = secret();
}

static void search(const void *at, size_t size) {
  const uint64_t *p = at;
  const uint64_t wanted = hashed;
  __asm__ volatile("" : "+r"(p) : : "memory"); /* or fresh memory could count as undefined */
  for (size_t i = 0; i < size / 8; i++)
    CHECK(hash(p[i]) != wanted);
}

static void __attribute__((noinline)) with_stack(void (*use)(void *, size_t)) {
  void *block = alloca(STACK);
  use(block, STACK);
}

static void search_only(void *at, size_t size) { search(at, size); }

int main(void) {
  static const int ends[] = {0, SIGKILL, SIGSEGV, SIGABRT};
  hashed = 0x5ec2e7c0ffee0000u * 0x9e3779b97f4a7c15u;
  for (int round = 0; round < 40; round++) {
    pid_t pid = OK(fork());
    if (pid == 0) {
      search(bss, sizeof bss);
      with_stack(search_only);
      for (int i = 0; i < 3; i++) {
        char *m = fresh(MAPPED);
        search(m, MAPPED);
        fill(m, MAPPED);
      }
      char *heap = malloc(HEAP), *small = malloc(20000);
      search(heap, HEAP), search(small, 20000);
      fill(heap, HEAP), fill(small, 20000);
      fill(bss, sizeof bss);
      with_stack(fill);
      int how = ends[round % 4];
      if (how == 0)
        _exit(0);
      signal(how, SIG_DFL);
      OK(kill(getpid(), how));
    }
    EXPECT(wait_for(pid) & 0xff7f, ends[round % 4]); /* all but the core-dump flag */
  }
  return done();
}
