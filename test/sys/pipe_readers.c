/* SPDX-License-Identifier: MIT */
/*
 * Several readers that wait on one pipe: nothing is lost and nobody sleeps on, whoever of them is
 * woken, interrupted or killed meanwhile, and wherever the buffer lies.
 */
#include "check.h"
#include <sys/mman.h>

enum { READERS = 3, MESSAGES = 300, SIZE = 24 };

static int wait_any(void) {
  int status;
  OK(wait(&status));
  return status;
}
static void ignore(int sig) { (void)sig; }

static void make(int fd[2]) { OK(pipe(fd)); }

static _Noreturn void count_messages(int in[2], int to) {
  char buf[SIZE];
  long n = 0, got;
  OK(close(in[1]));
  while ((got = read(in[0], buf, sizeof buf)) > 0) {
    CHECK(got == SIZE && buf[0] == buf[SIZE - 1]);
    n++;
  }
  EXPECT(got, 0);
  EXPECT(write(to, &n, sizeof n), sizeof n);
  _exit(0);
}

/* Readers take messages of one pipe until its end and tell how many; all are taken once. */
static void test_shared(void) {
  int in[2], counts[2];
  make(in), make(counts);
  for (int i = 0; i < READERS; i++) {
    pid_t pid = fork();
    if (pid == 0)
      count_messages(in, counts[1]);
    OK(pid);
  }
  OK(close(in[0]));
  char buf[SIZE];
  for (int i = 0; i < MESSAGES; i++) {
    memset(buf, i, sizeof buf);
    EXPECT(write(in[1], buf, sizeof buf), SIZE);
    if (i % 7 == 0)
      usleep(300); /* until all of them wait */
  }
  OK(close(in[1]));
  long sum = 0, n;
  for (int i = 0; i < READERS; i++) {
    EXPECT(read(counts[0], &n, sizeof n), sizeof n);
    sum += n;
    EXPECT(wait_any(), 0);
  }
  EXPECT(sum, MESSAGES);
  OK(close(counts[0])), OK(close(counts[1]));
}

/* The first of two readers goes without having read; the second gets what comes then. */
static void test_first_leaves(int signo) {
  int in[2], done[2];
  make(in), make(done);
  pid_t first = fork();
  if (first == 0) {
    char c;
    handle(SIGUSR1, ignore, 0);
    CHECK(read(in[0], &c, 1) == -1 && errno == EINTR);
    _exit(7);
  }
  OK(first);
  until_asleep(first);
  pid_t second = fork();
  if (second == 0) {
    char c = 0;
    EXPECT(read(in[0], &c, 1), 1);
    EXPECT(write(done[1], &c, 1), 1);
    _exit(0);
  }
  OK(second);
  until_asleep(second);
  OK(kill(first, signo));
  int status = wait_for(first);
  CHECK(signo == SIGUSR1 ? WIFEXITED(status) && WEXITSTATUS(status) == 7
                         : WIFSIGNALED(status) && WTERMSIG(status) == signo);
  char c = 'x';
  EXPECT(write(in[1], &c, 1), 1);
  EXPECT(read(done[0], &c, 1), 1);
  EXPECT_EXIT(second, 0);
  for (int i = 0; i < 2; i++)
    OK(close(in[i])), OK(close(done[i]));
}

/* A handler with SA_RESTART runs while the reader waits, which then goes on waiting. */
static void test_restarted(void) {
  int in[2];
  make(in);
  pid_t pid = fork();
  if (pid == 0) {
    char c = 0;
    handle(SIGUSR1, ignore, SA_RESTART);
    EXPECT(read(in[0], &c, 1), 1);
    CHECK(c == 'r');
    _exit(0);
  }
  OK(pid);
  until_asleep(pid);
  for (int i = 0; i < 5; i++) {
    OK(kill(pid, SIGUSR1));
    usleep(1000);
  }
  EXPECT(write(in[1], "r", 1), 1);
  EXPECT_EXIT(pid, 0);
  OK(close(in[0])), OK(close(in[1]));
}

/* Buffers in memory that is not there yet, across pages, read-only, beyond the end. */
static void test_buffers(void) {
  int in[2];
  long page = sysconf(_SC_PAGESIZE);
  make(in);
  for (int late = 0; late < 2; late++) {
    char *p =
        mmap(NULL, (size_t)page * 3, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(p != MAP_FAILED);
    OK(mprotect(p + 2 * page, (size_t)page, PROT_READ));
    pid_t pid = fork();
    if (pid == 0) {
      usleep(late ? 10000 : 0);
      EXPECT(write(in[1], "0123456789abcdef", 16), 16);
      _exit(0);
    }
    OK(pid);
    if (!late)
      EXPECT_EXIT(pid, 0);
    EXPECT(read(in[0], p + page - 8, 16), 16);
    CHECK(!memcmp(p + page - 8, "0123456789abcdef", 16) && p[0] == 0 && p[page + 8] == 0);
    if (late)
      EXPECT_EXIT(pid, 0);
    EXPECT(write(in[1], p + page - 8, 16), 16);
    FAILS(read(in[0], p + 2 * page, 8), EFAULT);
    FAILS(read(in[0], NULL, 8), EFAULT);
    EXPECT(read(in[0], p + 2 * page - 16, 16), 16);
    CHECK(!memcmp(p + 2 * page - 16, "0123456789abcdef", 16));
    FAILS(write(in[1], NULL, 8), EFAULT);
    OK(munmap(p, (size_t)page * 3));
  }
  FAILS(read(in[1], &page, 8), EBADF);
  FAILS(write(in[0], &page, 8), EBADF);
  EXPECT(write(in[1], &page, 0), 0);
  EXPECT(read(in[0], &page, 0), 0);
  OK(close(in[0])), OK(close(in[1]));
}

int main(void) {
  test_shared();
  test_first_leaves(SIGUSR1);
  test_first_leaves(SIGKILL);
  test_restarted();
  test_buffers();
  return done();
}
