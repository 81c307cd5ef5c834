/* SPDX-License-Identifier: MIT */
/* test: timeout=900 cflags=-pthread */
/* RLIMIT_CPU: SIGXCPU at the soft limit and each second after it, SIGKILL at the hard one, of the
   process's time (all threads), not of the children's; fork inherits the limit, not the time. */
#include "check.h"
#include <pthread.h>
#include <stdbool.h>
#include <sys/resource.h>

static volatile sig_atomic_t warned;
static long warned_at; /* ms of CPU time at the first SIGXCPU */

static long cpu_ms(void) {
  struct timespec ts;
  OK(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts));
  return ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static void warn(int sig) {
  (void)sig;
  if (!warned++)
    warned_at = cpu_ms();
}

static void limit(rlim_t soft, rlim_t hard) {
  OK(setrlimit(RLIMIT_CPU, &(struct rlimit){soft, hard}));
}

static void spin(long ms) {
  static volatile unsigned long x;
  while (cpu_ms() < ms)
    for (int i = 0; i < 100000; i++)
      x = x * 31 + 1;
}

static void spin_until_warned(int times) {
  for (long ms = cpu_ms(); warned < times && ms < 9000;)
    spin(ms += 20);
  CHECK(warned >= times);
}

static void killed_at_the_soft_limit(void) {
  limit(1, 10);
  spin(5000);
}

static void killed_at_the_hard_limit(void) {
  signal(SIGXCPU, SIG_IGN);
  limit(1, 2);
  spin(5000);
}

/* Warned at one second and again at two; the limit that is told has moved on. (Linux measures by
   its ticks, which may be wrong by a good part on a busy machine.) */
static void warned_each_second(void) {
  struct rlimit l;
  signal(SIGXCPU, warn);
  limit(1, 30);
  spin(500);
  EXPECT(warned, 0);
  spin_until_warned(1);
  CHECK(warned_at >= 500);
  OK(getrlimit(RLIMIT_CPU, &l));
  CHECK(l.rlim_cur >= 2 && l.rlim_cur <= 4);
  EXPECT(l.rlim_max, 30);
  spin_until_warned(2);
  _exit(7);
}

static void *spinner(void *arg) {
  spin(5000);
  return arg;
}

static void threads_count_together(void) {
  pthread_t t;
  limit(1, 10);
  OK(pthread_create(&t, NULL, spinner, NULL));
  spin(5000);
}

static void inherited_but_not_used_up(void) {
  int status;
  limit(1, 10);
  spin(500);
  pid_t pid = OK(fork());
  if (pid == 0) {
    spin(400);
    _exit(3);
  }
  EXPECT(waitpid(pid, &status, 0), pid);
  CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 3);
  pid = OK(fork());
  if (pid == 0) {
    spin(5000);
    _exit(0);
  }
  EXPECT(waitpid(pid, &status, 0), pid);
  CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGXCPU);
  _exit(7);
}

static void sleeping_is_free(void) {
  limit(1, 1);
  usleep(1500000);
  _exit(7);
}

static void may_be_lifted(void) {
  limit(1, 20);
  spin(500);
  limit(20, 20);
  spin(1300);
  _exit(7);
}

static const struct {
  void (*f)(void);
  int status; /* wait status */
} cases[] = {
    {killed_at_the_soft_limit, SIGXCPU},
    {killed_at_the_hard_limit, SIGKILL},
    {warned_each_second, 7 << 8},
    {threads_count_together, SIGXCPU},
    {inherited_but_not_used_up, 7 << 8},
    {sleeping_is_free, 7 << 8},
    {may_be_lifted, 7 << 8},
};
#define CASES (int)(sizeof cases / sizeof *cases)

static pid_t start(int i) {
  pid_t pid = OK(fork());
  if (pid == 0) {
    cases[i].f();
    _exit(0);
  }
  return pid;
}

static bool right(int i, pid_t pid) {
  int status;
  EXPECT(waitpid(pid, &status, 0), pid);
  return (status & ~0x80 /* core dumped */) == cases[i].status;
}

/* All at once. The CPU time of a machine that is not the only one on its host holds what others
   took, a second at a time if they are many: a case that failed is tried again, by itself. */
int main(void) {
  pid_t pids[CASES];
  setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
  for (int i = 0; i < CASES; i++)
    pids[i] = start(i);
  for (int i = 0; i < CASES; i++) {
    bool good = right(i, pids[i]);
    for (int tries = 0; !good && tries < 5; tries++)
      good = right(i, start(i));
    if (!good)
      check_fail(__FILE__, __LINE__, "case", i);
  }
  puts("ok");
  return 0;
}
