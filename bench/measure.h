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

#endif
