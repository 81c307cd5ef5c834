/* SPDX-License-Identifier: MIT */
/*
 * The soak: many small jobs at once, each a process of its own with children and threads, each
 * checking all it does; see soak.c. A job is a function of its seed. Every call of OK, EXPECT and
 * the like leaves file and line in the job's slot, so that the watchdog can say where it hangs.
 */
#ifndef SOAK_H
#define SOAK_H

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define STATUS_FAILED 99 /* of a process that found something wrong */
#define STATUS_SCARCE 75 /* ... that could not go on for want of memory: fine in a lean run */

/* A running job, in memory that all processes share. */
struct slot {
  pid_t pid; /* 0: free */
  const char *job;
  uint64_t seed;
  long started, kill_at; /* ms; kill_at 0: the job ends by itself */
  bool killed;
  volatile bool gave_up;     /* one of its processes found no memory: the others notice */
  key_t key;                 /* for System V objects of the job: removed after it */
  char dir[40];              /* for its files, where it starts: the same */
  const char *volatile file; /* where one of its processes was last */
  volatile int line;
};

struct job {
  const char *name;
  void (*run)(uint64_t *seed);
  bool victim; /* runs until it is killed */
};
extern const struct job jobs[];

extern struct slot *slot;     /* this job's */
extern bool lean;             /* memory may run out */
extern const char *self_path; /* of this program */

#define MARK() (slot->file = __FILE__, slot->line = __LINE__)

/* Something is wrong: says so and ends the process; if `scarce` and the run is lean, ends quietly.
 */
_Noreturn void soak_fail(const char *file, int line, const char *what, long value, bool scarce);
bool is_scarce(int err);
/* Ends the process for want of memory, which only happens in a lean run. */
_Noreturn void give_up_quietly(void);

#define CHECK(cond)                                                                                \
  do {                                                                                             \
    MARK();                                                                                        \
    if (!(cond))                                                                                   \
      soak_fail(__FILE__, __LINE__, #cond, 0, false);                                              \
  } while (0)
#define EXPECT(expr, value)                                                                        \
  do {                                                                                             \
    MARK();                                                                                        \
    long got_ = (long)(expr);                                                                      \
    if (got_ != (long)(value))                                                                     \
      soak_fail(__FILE__, __LINE__, #expr " == " #value, got_, got_ == -1 && is_scarce(errno));    \
  } while (0)
#define OK(expr)                                                                                   \
  ({                                                                                               \
    MARK();                                                                                        \
    __typeof__(expr) result_ = (expr);                                                             \
    if ((long)result_ == -1)                                                                       \
      soak_fail(__FILE__, __LINE__, #expr, -1, is_scarce(errno));                                  \
    result_;                                                                                       \
  })
/* A function of pthreads, which returns its error. */
#define OK0(expr)                                                                                  \
  do {                                                                                             \
    MARK();                                                                                        \
    int error_ = (expr);                                                                           \
    if (error_)                                                                                    \
      soak_fail(__FILE__, __LINE__, #expr, error_, is_scarce(error_));                             \
  } while (0)

/* ---- numbers --------------------------------------------------------------------------------- */

static inline uint64_t rnd(uint64_t *state) {
  uint64_t x = *state;
  x ^= x << 13, x ^= x >> 7, x ^= x << 17;
  return *state = x;
}
static inline unsigned below(uint64_t *state, unsigned n) {
  return (unsigned)(rnd(state) >> 20) % n;
}
static inline uint64_t mix(uint64_t a, uint64_t b) {
  uint64_t x = a * 0x9e3779b97f4a7c15u + b * 0xbf58476d1ce4e5b9u + 1;
  x ^= x >> 29;
  x *= 0x94d049bb133111ebu;
  return (x ^ x >> 32) | 1;
}

static inline long now_ms(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}
void sleep_us(long us);

/* ---- help.c ---------------------------------------------------------------------------------- */

/* fork that counts as a step; ends the process if there is no memory. */
pid_t child(void);
/* Waits for the child; its wait status. */
int status_of(pid_t pid);
/* The child ends by itself with `code`; by signal `sig`. It is reaped. */
void expect_exit(pid_t pid, int code, const char *file, int line);
void expect_signal(pid_t pid, int sig, const char *file, int line);
#define EXPECT_EXIT(pid, code) (MARK(), expect_exit(pid, code, __FILE__, __LINE__))
#define EXPECT_SIGNAL(pid, sig) (MARK(), expect_signal(pid, sig, __FILE__, __LINE__))

/* Byte `at` of the stream with this seed, in bulk. */
void pattern_fill(void *buf, size_t n, uint64_t seed, uint64_t at);
/* Index of the first wrong byte, or -1. */
long pattern_check(const void *buf, size_t n, uint64_t seed, uint64_t at);

/* All n bytes, whatever signals come. 0 read: the end. */
void write_full(int fd, const void *buf, size_t n);
size_t read_full(int fd, void *buf, size_t n);

/* Shared anonymous memory. */
void *shared_alloc(size_t n);
void catch_signal(int sig, void (*handler)(int), int flags);

/* ---- jobs ------------------------------------------------------------------------------------ */

void job_stream(uint64_t *seed);   /* work_stream.c */
void job_messages(uint64_t *seed); /* work_messages.c */
void job_memory(uint64_t *seed);   /* work_memory.c */
void job_snapshot(uint64_t *seed);
void job_threads(uint64_t *seed); /* work_threads.c */
void job_signals(uint64_t *seed); /* work_signals.c */
void job_family(uint64_t *seed);  /* work_family.c */
int family_exec(int argc, char **argv);
void job_files(uint64_t *seed); /* work_files.c */
void job_locks(uint64_t *seed); /* work_ipc.c */
void job_sysv(uint64_t *seed);
void job_events(uint64_t *seed); /* work_events.c */
void job_pty(uint64_t *seed);
void job_chaos(uint64_t *seed); /* work_chaos.c */

#endif
