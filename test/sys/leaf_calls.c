/* SPDX-License-Identifier: MIT */
/*
 * Calls that the kernel answers without saving the caller's registers: these survive, whatever
 * interrupts the call; signals and other processes get their turn although the caller does nothing
 * else; and so it is with the calls that take the long way, and with numbers that are none.
 */
#include "check.h"
#include <sys/syscall.h>
#include <sys/time.h>

static volatile int ticks, heard;

/* A handler that leaves nothing where it was. */
static void tick(int sig) {
  (void)sig, ticks++;
  __asm__ volatile(
      "mov $-1, %%rax\n\tmov %%rax, %%rbx\n\tmov %%rax, %%rcx\n\tmov %%rax, %%rdx\n\t"
      "mov %%rax, %%rsi\n\tmov %%rax, %%rdi\n\tmov %%rax, %%r8\n\tmov %%rax, %%r9\n\t"
      "mov %%rax, %%r10\n\tmov %%rax, %%r12\n\tmov %%rax, %%r13\n\tmov %%rax, %%r14\n\t"
      "pcmpeqd %%xmm1, %%xmm1\n\tpcmpeqd %%xmm9, %%xmm9"
      :
      :
      : "rax", "rbx", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r12", "r13", "r14", "xmm1",
        "xmm9", "cc");
}
static void hear(int sig) { (void)sig, heard = 1; }

/* The call's result; *changed is 0 if all registers are what they were. */
static long call(long nr, uint64_t *changed) {
  long ret = nr;
  uint64_t differ;
  __asm__ volatile(
      "mov $11, %%rbx\n\tmov $12, %%rdx\n\tmov $13, %%rsi\n\tmov $14, %%rdi\n\t"
      "mov $15, %%r8\n\tmov $16, %%r9\n\tmov $17, %%r10\n\tmov $18, %%r12\n\t"
      "mov $19, %%r13\n\tmov $20, %%r14\n\tmovq %%rbx, %%xmm1\n\tmovq %%rdx, %%xmm9\n\t"
      "syscall\n\t"
      "xor $11, %%rbx\n\tmov %%rbx, %%rcx\n\txor $12, %%rdx\n\tor %%rdx, %%rcx\n\t"
      "xor $13, %%rsi\n\tor %%rsi, %%rcx\n\txor $14, %%rdi\n\tor %%rdi, %%rcx\n\t"
      "xor $15, %%r8\n\tor %%r8, %%rcx\n\txor $16, %%r9\n\tor %%r9, %%rcx\n\t"
      "xor $17, %%r10\n\tor %%r10, %%rcx\n\txor $18, %%r12\n\tor %%r12, %%rcx\n\t"
      "xor $19, %%r13\n\tor %%r13, %%rcx\n\txor $20, %%r14\n\tor %%r14, %%rcx\n\t"
      "movq %%xmm1, %%rbx\n\txor $11, %%rbx\n\tor %%rbx, %%rcx\n\t"
      "movq %%xmm9, %%rdx\n\txor $12, %%rdx\n\tor %%rdx, %%rcx"
      : "+a"(ret), "=c"(differ)
      :
      : "rbx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "xmm1", "xmm9",
        "cc", "memory");
  *changed = differ;
  return ret;
}

/* Each with what it answers. */
static struct {
  long nr, expected;
} calls[] = {
    {SYS_getpid, 0}, {SYS_gettid, 0},  {SYS_getppid, 0},     {SYS_getuid, 0}, {SYS_geteuid, 0},
    {SYS_getgid, 0}, {SYS_getegid, 0}, {SYS_sched_yield, 0}, {500, -ENOSYS},  {510, -ENOSYS},
    {511, -ENOSYS},  {512, -ENOSYS},   {1 << 20, -ENOSYS},   {-1, -ENOSYS},
};
enum { CALLS = sizeof calls / sizeof *calls };

static void expect_answers(void) {
  calls[0].expected = calls[1].expected = getpid();
  calls[2].expected = getppid();
  calls[3].expected = getuid(), calls[4].expected = geteuid();
  calls[5].expected = getgid(), calls[6].expected = getegid();
}

static void call_all(int rounds) {
  for (int i = 0; i < rounds * CALLS; i++) {
    uint64_t changed;
    long ret = call(calls[i % CALLS].nr, &changed);
    if (ret != calls[i % CALLS].expected || changed)
      fprintf(stderr, "call %ld: %ld, changed %lx\n", calls[i % CALLS].nr, ret, (long)changed);
    CHECK(ret == calls[i % CALLS].expected && changed == 0);
  }
}

/* A process that does nothing but such calls hears a signal and ends by another. */
static void test_interrupted(void) {
  int p[2];
  OK(pipe(p));
  pid_t pid = OK(fork());
  if (pid == 0) {
    handle(SIGUSR1, hear, 0);
    handle(SIGTERM, SIG_DFL, 0);
    tell(p[1]);
    while (!heard)
      getppid();
    tell(p[1]);
    for (;;)
      getppid();
  }
  await(p[0]);
  usleep(2000); /* it is at it by now, as a rule */
  OK(kill(pid, SIGUSR1));
  await(p[0]);
  for (int i = 0; i < 5; i++) {
    OK(kill(pid, SIGUSR1));
    usleep(2000);
  }
  OK(kill(pid, SIGTERM));
  EXPECT_SIGNAL(pid, SIGTERM);
}

int main(void) {
  expect_answers();
  call_all(1000);
  handle(SIGALRM, tick, SA_RESTART);
  struct itimerval fast = {{0, 300}, {0, 300}}, off = {{0, 0}, {0, 0}};
  OK(setitimer(ITIMER_REAL, &fast, NULL));
  while (ticks < 100) /* a test that hangs fails */
    call_all(200);
  OK(setitimer(ITIMER_REAL, &off, NULL));
  test_interrupted();
  IN_CHILD { /* ids are those of the child, not what its parent had */
    expect_answers();
    call_all(10);
  }
  END_CHILD(0);
  return done();
}
