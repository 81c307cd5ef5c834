/* SPDX-License-Identifier: MIT */
/* Blocks of threads: their guards, and that what is given back can be used for anything. */
#include "kernel/test/fake/check_once.h"
#include "kernel/thread.h"
#include "plat/hosted/hosted.h"
#include "plat/hosted/linux.h"
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#define BLOCKS 500
#define GUARD (KSTACK_SPAN - KSTACK_SIZE)

u64 plat_mem_limit(void) { return UINT64_MAX; }
u64 plat_mem_used(void) { return pages_bytes_used(); }
void plat_relax(void) { sched_yield(); }

static sigjmp_buf back;

static void fault(int sig) { siglongjmp(back, sig); }

static bool faults(volatile char *p) {
  if (sigsetjmp(back, 1))
    return true;
  *p = 1;
  return false;
}

static bool host_has_guards(void) {
  void *p = mmap(NULL, PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(p != MAP_FAILED);
  return madvise(p, PAGE_SIZE, LX_MADV_GUARD_INSTALL) == 0;
}

static char *span_of(struct thread *t) { return (char *)t + THREAD_ROOM - KSTACK_SPAN; }

static bool is_zero(const char *p, size_t n) { return p[0] == 0 && memcmp(p, p + 1, n - 1) == 0; }

static void guards(bool expected) {
  struct thread *t[BLOCKS];
  u64 before = pages_bytes_used();
  for (int i = 0; i < BLOCKS; i++) {
    CHECK((t[i] = plat_thread_alloc()) != NULL);
    char *span = span_of(t[i]);
    CHECK((u64)span % KSTACK_SPAN == 0 && thread_at((u64)span) == t[i]);
    CHECK(is_zero(span + GUARD, KSTACK_SIZE));
    memset(span + GUARD, 0x77, KSTACK_SIZE);
    if (expected)
      CHECK(faults(span) && faults(span + GUARD / 2) && faults(span + GUARD - 1));
  }
  CHECK(pages_bytes_used() - before == (u64)BLOCKS * KSTACK_SIZE);
  for (int i = 0; i < BLOCKS; i++)
    plat_thread_free(t[i]);
  CHECK(pages_bytes_used() == before);
}

/* The same memory again, as blocks without guards. */
static void other_uses(void) {
  char *p[BLOCKS];
  for (int i = 0; i < BLOCKS; i++) {
    CHECK((p[i] = plat_pages_alloc(KSTACK_SPAN / PAGE_SIZE, KSTACK_SPAN)) != NULL);
    CHECK(is_zero(p[i], KSTACK_SPAN));
    memset(p[i], 0x55, KSTACK_SPAN);
  }
  for (int i = 0; i < BLOCKS; i++)
    plat_pages_free(p[i], KSTACK_SPAN / PAGE_SIZE);
}

int main(void) {
  bool expected = host_has_guards();
  struct sigaction sa = {.sa_handler = fault, .sa_flags = SA_NODEFER};
  sigaction(SIGSEGV, &sa, NULL);
  CHECK(pages_init() == 0);
  for (int round = 0; round < 3; round++) {
    guards(expected);
    other_uses();
  }
  printf("pages_test: 2 passed, 0 failed%s\n", expected ? "" : " (this host has no guards)");
  return 0;
}
