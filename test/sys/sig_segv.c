/* SPDX-License-Identifier: MIT */
/* A bad access is SIGSEGV with its address; a handler can leave by siglongjmp or repair the page.
 */
#include "check.h"
#include <setjmp.h>
#include <sys/mman.h>

static sigjmp_buf out;
static volatile siginfo_t seen;
static char *volatile page;
static volatile int repair;
static int *volatile null_page = (int *)0x20;

static void handler(int sig, siginfo_t *info, void *context) {
  (void)context;
  EXPECT(sig, SIGSEGV);
  seen = *info;
  if (repair) {
    OK(mprotect(page, 4096, PROT_READ | PROT_WRITE));
    return;
  }
  siglongjmp(out, 1);
}

static void expect_fault(volatile char *p, int code) {
  seen.si_signo = 0;
  if (!sigsetjmp(out, 1)) {
    *p = 1;
    CHECK(!"no fault");
  }
  CHECK(seen.si_signo == SIGSEGV && seen.si_code == code && (char *)seen.si_addr == p);
}

int main(void) {
  struct sigaction sa = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO};
  OK(sigaction(SIGSEGV, &sa, NULL));
  expect_fault((char *)0x10, SEGV_MAPERR);
  page = OK((char *)mmap(NULL, 8192, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  expect_fault(page + 123, SEGV_ACCERR);
  OK(munmap(page + 4096, 4096));
  expect_fault(page + 4096 + 5, SEGV_MAPERR);
  for (int i = 0; i < 1000; i++)
    expect_fault(page + i, SEGV_ACCERR);
  repair = 1;
  page[77] = 42; /* the access is repeated after the handler */
  EXPECT(page[77], 42);
  IN_CHILD {
    repair = 0;
    OK(mprotect(page, 4096, PROT_NONE));
    expect_fault(page, SEGV_ACCERR);
  }
  END_CHILD(0);
  pid_t pid = OK(fork());
  if (pid == 0) {
    signal(SIGSEGV, SIG_DFL);
    *(volatile int *)null_page = 1;
    _exit(0);
  }
  EXPECT_SIGNAL(pid, SIGSEGV);
  pid = OK(fork());
  if (pid == 0) { /* blocked or ignored, a fault is deadly all the same */
    signal(SIGSEGV, SIG_IGN);
    *(volatile int *)null_page = 1;
    _exit(0);
  }
  EXPECT_SIGNAL(pid, SIGSEGV);
  return done();
}
