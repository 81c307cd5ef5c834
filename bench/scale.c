/* SPDX-License-Identifier: MIT */
/*
 * scale LIVE ROUNDS: what calls of one process cost while LIVE others, its children, are alive and
 * asleep. Reports medians of the fork call, fork + exit + wait, a signal that a sleeping child
 * dies of with the wait for it, and a round trip through a pair of pipes; and the mean time that it
 * took to make one of the LIVE, and to end it. Memory is the same whatever LIVE is.
 */
#include "measure.h"
#include <sched.h>
#include <signal.h>

enum { LIVE_MAX = 10000, ROUNDS_MAX = 500 };

static pid_t pids[LIVE_MAX];
static double samples[ROUNDS_MAX], whole[ROUNDS_MAX];

static pid_t sleeper(void) {
  pid_t pid = fork();
  if (pid < 0)
    fail("fork");
  if (pid == 0)
    for (;;)
      pause();
  return pid;
}

static void end(pid_t pid) {
  int status;
  if (kill(pid, SIGKILL) || waitpid(pid, &status, 0) != pid || !WIFSIGNALED(status))
    fail("kill");
}

/* Waits for any child: it is the one that can have ended. */
static void reap_any(pid_t pid) {
  int status;
  if (wait(&status) != pid || status != 0)
    fail("wait");
}

static void measure_kill(int rounds) {
  for (int i = 0; i < rounds; i++) {
    pid_t pid = sleeper();
    sched_yield();
    double start = now_us();
    end(pid);
    samples[i] = now_us() - start;
  }
  report("kill_wait", "us", median(samples, rounds));
}

static void measure_pipe(int rounds) {
  enum { TRIPS = 20 };
  int there[2], back[2];
  char c = 0;
  if (pipe(there) || pipe(back))
    fail("pipe");
  pid_t pid = fork();
  if (pid < 0)
    fail("fork");
  if (pid == 0) {
    close(there[1]);
    while (read(there[0], &c, 1) == 1)
      if (write(back[1], &c, 1) != 1)
        _exit(1);
    _exit(0);
  }
  for (int i = 0; i < rounds; i++) {
    double start = now_us();
    for (int trip = 0; trip < TRIPS; trip++)
      if (write(there[1], &c, 1) != 1 || read(back[0], &c, 1) != 1)
        fail("round trip");
    samples[i] = (now_us() - start) / TRIPS;
  }
  close(there[1]);
  close(there[0]);
  reap(pid);
  close(back[0]);
  close(back[1]);
  report("pipe_round_trip", "us", median(samples, rounds));
}

int main(int argc, char **argv) {
  int live = argc > 1 ? atoi(argv[1]) : 10, rounds = argc > 2 ? atoi(argv[2]) : 200;
  if (live < 1 || live > LIVE_MAX || rounds < 1 || rounds > ROUNDS_MAX)
    fail("arguments");
  memset(pids, 1, sizeof pids);
  memset(samples, 1, sizeof samples);
  memset(whole, 1, sizeof whole);
  double start = now_us();
  for (int i = 0; i < live; i++)
    pids[i] = sleeper();
  report("create_each", "us", (now_us() - start) / live);
  report_forks(reap_any, 0, rounds, samples, whole);
  measure_kill(rounds);
  measure_pipe(rounds);
  start = now_us();
  for (int i = 0; i < live; i++)
    end(pids[i]);
  report("end_each", "us", (now_us() - start) / live);
  return 0;
}
