/* SPDX-License-Identifier: MIT */
/*
 * What the measuring programs share: a clock, samples, and how results are printed:
 * one line `METRIC UNIT VALUE` each, which bench.py collects.
 */
#ifndef MEASURE_H
#define MEASURE_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static inline double now_us(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static inline _Noreturn void fail(const char *what) {
  perror(what);
  exit(1);
}

static inline void report(const char *metric, const char *unit, double value) {
  printf("%s %s %.6g\n", metric, unit, value);
  fflush(stdout);
}

static int measure_order(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static inline double median(double *samples, int n) {
  qsort(samples, (size_t)n, sizeof *samples, measure_order);
  return n % 2 ? samples[n / 2] : (samples[n / 2 - 1] + samples[n / 2]) / 2;
}

/* Reaps a child that must have ended with 0. */
static inline void reap(pid_t pid) {
  int status;
  if (waitpid(pid, &status, 0) != pid || status != 0)
    fail("child");
}

/* What is done around a measured fork; `before` and `child` may be NULL. Rounds below 0 warm up. */
struct forks {
  void (*before)(int round); /* not measured */
  void (*child)(int round);
  void (*reap)(pid_t pid); /* waits for the child */
};

/* Forks a child that ends, over and over; the time of the fork call, and of all until it has ended,
 * of each round from 0 on. */
static inline __attribute__((always_inline)) void
measure_forks(struct forks f, int warm_up, int rounds, double *call, double *whole) {
  for (int i = -warm_up; i < rounds; i++) {
    if (f.before)
      f.before(i);
    double start = now_us();
    pid_t pid = fork();
    if (pid == 0) {
      if (f.child)
        f.child(i);
      _exit(0);
    }
    double forked = now_us();
    if (pid < 0)
      fail("fork");
    f.reap(pid);
    if (i >= 0) {
      call[i] = forked - start;
      whole[i] = now_us() - start;
    }
  }
}

/* The same for a child that ends at once; reports the medians. */
static inline __attribute__((always_inline)) void
report_forks(void (*reaper)(pid_t pid), int warm_up, int rounds, double *call, double *whole) {
  measure_forks((struct forks){.reap = reaper}, warm_up, rounds, call, whole);
  report("fork_call", "us", median(call, rounds));
  report("fork_exit_wait", "us", median(whole, rounds));
}

#endif
