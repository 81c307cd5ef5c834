/* SPDX-License-Identifier: MIT */
/*
 * What every system test needs: checks that say where they failed, and children whose end is
 * checked. A failed check ends the process with status CHECK_FAILED; in a child, the parent's
 * EXPECT_EXIT turns that into a failure of the test.
 */
#ifndef CHECK_H
#define CHECK_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define CHECK_FAILED 99

static inline _Noreturn void check_fail(const char *file, int line, const char *what, long value) {
  int e = errno;
  dprintf(2, "%s:%d: %s: got %ld (0x%lx), errno %d (%s), pid %d\n", file, line, what, value,
          (unsigned long)value, e, strerror(e), (int)getpid());
  _exit(CHECK_FAILED);
}

/* The condition holds. */
#define CHECK(cond)                                                                                \
  do {                                                                                             \
    if (!(cond))                                                                                   \
      check_fail(__FILE__, __LINE__, #cond, 0);                                                    \
  } while (0)

/* The integer expression has this value. */
#define EXPECT(expr, value)                                                                        \
  do {                                                                                             \
    long got_ = (long)(expr);                                                                      \
    if (got_ != (long)(value))                                                                     \
      check_fail(__FILE__, __LINE__, #expr " == " #value, got_);                                   \
  } while (0)

/* The call succeeds (does not return -1). */
#define OK(expr)                                                                                   \
  ({                                                                                               \
    __typeof__(expr) result_ = (expr);                                                             \
    if ((long)result_ == -1)                                                                       \
      check_fail(__FILE__, __LINE__, #expr, -1);                                                   \
    result_;                                                                                       \
  })

/* The call fails with this errno. */
#define FAILS(expr, err)                                                                           \
  do {                                                                                             \
    errno = 0;                                                                                     \
    long got_ = (long)(expr);                                                                      \
    if (got_ != -1 || errno != (err))                                                              \
      check_fail(__FILE__, __LINE__, #expr " fails with " #err, got_);                             \
  } while (0)

static inline int wait_for(pid_t pid) {
  int status = 0;
  if (OK(waitpid(pid, &status, 0)) != pid)
    check_fail(__FILE__, __LINE__, "waitpid", pid);
  return status;
}

/* The child ends by itself with this status; it is reaped. */
#define EXPECT_EXIT(pid, code)                                                                     \
  do {                                                                                             \
    int status_ = wait_for(pid);                                                                   \
    if (!WIFEXITED(status_) || WEXITSTATUS(status_) != (code))                                     \
      check_fail(__FILE__, __LINE__, "child exits with " #code ", status", status_);               \
  } while (0)

/* The child dies by this signal; it is reaped. */
#define EXPECT_SIGNAL(pid, sig)                                                                    \
  do {                                                                                             \
    int status_ = wait_for(pid);                                                                   \
    if (!WIFSIGNALED(status_) || WTERMSIG(status_) != (sig))                                       \
      check_fail(__FILE__, __LINE__, "child dies by " #sig ", status", status_);                   \
  } while (0)

/*
 * Runs the statements that follow (a block) in a child, which then exits with 0, and expects
 * that it does: IN_CHILD { ... } END_CHILD(0);
 */
#define IN_CHILD                                                                                   \
  {                                                                                                \
    pid_t child_ = OK(fork());                                                                     \
    if (child_ == 0) {
#define END_CHILD(code)                                                                            \
  _exit(0);                                                                                        \
  }                                                                                                \
  EXPECT_EXIT(child_, code);                                                                       \
  }

static inline void sleep_ms(long ms) {
  struct timespec t = {ms / 1000, ms % 1000 * 1000000};
  while (nanosleep(&t, &t) == -1 && errno == EINTR)
    ;
}

static inline long now_ms(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Until the thread sleeps; it is one of process pid's. */
static inline void until_thread_asleep(pid_t pid, pid_t tid) {
  char path[60], line[256], state = 0;
  snprintf(path, sizeof path, "/proc/%d/task/%d/stat", (int)pid, (int)tid);
  for (; state != 'S'; sleep_ms(1)) {
    int fd = OK(open(path, O_RDONLY));
    line[OK(read(fd, line, sizeof line - 1))] = 0;
    OK(close(fd));
    CHECK(sscanf(line, "%*d (%*[^)]) %c", &state) == 1);
  }
}

/* Until process pid sleeps, which has one thread. */
static inline void until_asleep(pid_t pid) { until_thread_asleep(pid, pid); }

/* A handler for a signal, with flags and an empty mask. */
static inline void handle(int sig, void (*handler)(int), int flags) {
  struct sigaction sa = {.sa_handler = handler, .sa_flags = flags};
  sigemptyset(&sa.sa_mask);
  OK(sigaction(sig, &sa, NULL));
}

/* One byte through a pipe: the cheapest way to wait for the other process. */
static inline void tell(int fd) { EXPECT(write(fd, "!", 1), 1); }
static inline void await(int fd) {
  char c;
  EXPECT(read(fd, &c, 1), 1);
}

/* The end of every self-checking test. */
static inline int done(void) {
  puts("ok");
  return 0;
}

/* A small generator of reproducible numbers (xorshift). */
static inline uint64_t rnd(uint64_t *state) {
  uint64_t x = *state;
  x ^= x << 13, x ^= x >> 7, x ^= x << 17;
  return *state = x;
}

#endif
