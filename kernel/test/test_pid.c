/* SPDX-License-Identifier: MIT */
/* The table of ids. */
#include "kernel/proc/internal.h"
#include "kernel/test/fake/check.h"
#include "kernel/test/fake/fake.h"
#include <stdlib.h>

struct proc_stats proc_stats;
static unsigned gets;
void proc_get(struct proc *p) { gets += p != NULL; }
void proc_put(struct proc *p) { gets -= p != NULL; }
void thread_get(struct thread *t) { gets += t != NULL; }

static int dummy;
#define OBJECT ((void *)&dummy)

static void sequential_then_wraps(void) {
  int first = pid_alloc(PID_PROC, OBJECT);
  CHECK(first == 1);
  int second = pid_alloc(PID_THREAD, OBJECT);
  CHECK(second == 2);
  pid_clear(2, PID_THREAD);
  CHECK(pid_alloc(PID_THREAD, OBJECT) == 3); /* ids are not reused at once */
  pid_clear(3, PID_THREAD);
  int id = 0;
  for (int i = 0; i < PID_MAX; i++) {
    id = pid_alloc(PID_THREAD, OBJECT);
    if (id == 2)
      break;
    pid_clear(id, PID_THREAD);
  }
  CHECK(id == 2); /* came round, without 0 and 1 */
  pid_clear(2, PID_THREAD);
}

static void roles_keep_an_id(void) {
  int id = pid_alloc(PID_PROC, OBJECT);
  pid_set(id, PID_PGRP, OBJECT);
  CHECK(proc_find(id) == OBJECT);
  CHECK(gets == 1);
  pid_clear(id, PID_PROC);
  CHECK(proc_find(id) == NULL);
  CHECK(pid_get(id, PID_PGRP) == OBJECT);
  for (int i = 0; i < PID_MAX + 10; i++) {
    int other = pid_alloc(PID_THREAD, OBJECT);
    CHECK(other != id && other != 1);
    pid_clear(other, PID_THREAD);
    if (check_bad)
      return;
  }
  pid_clear(id, PID_PGRP);
}

static void exhaustion(void) {
  int n = 0, id;
  while ((id = pid_alloc(PID_THREAD, OBJECT)) > 0)
    n++;
  CHECK(id == -EAGAIN);
  CHECK(n == PID_MAX - 2); /* 0 does not exist, 1 is taken */
  pid_clear(777, PID_THREAD);
  CHECK(pid_alloc(PID_THREAD, OBJECT) == 777);
  for (id = 2; id < PID_MAX; id++)
    pid_clear(id, PID_THREAD);
}

static void process_limit(void) {
  pids_limit(10);
  for (int i = 0; i < 9; i++)
    CHECK(pid_alloc(PID_PROC, OBJECT) > 0);
  CHECK(proc_count() == 10);
  CHECK(pid_alloc(PID_PROC, OBJECT) == -EAGAIN);
  CHECK(pid_alloc(PID_THREAD, OBJECT) > 0); /* threads are not processes */
  CHECK(proc_stats.peak == 10);
}

static void count_procs(struct proc *p, void *arg) {
  CHECK((void *)p == OBJECT);
  ++*(int *)arg;
}

static void iteration(void) {
  int n = 0;
  unsigned before = gets;
  proc_for_each(count_procs, &n);
  CHECK(n == 10);
  CHECK(gets == before);
  CHECK(proc_find(-1) == NULL && proc_find(0) == NULL && proc_find(PID_MAX) == NULL);
}

int main(void) {
  TEST(sequential_then_wraps);
  TEST(roles_keep_an_id);
  TEST(exhaustion);
  TEST(process_limit);
  TEST(iteration);
  return check_summary("test_pid");
}
