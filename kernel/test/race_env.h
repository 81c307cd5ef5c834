/* SPDX-License-Identifier: MIT */
/*
 * For tests under the thread sanitizer that run on the real scheduler, with host threads as CPUs:
 * kernel threads of one process that do something at once. Included by one file of a test.
 */
#ifndef UFORK_TEST_RACE_ENV_H
#define UFORK_TEST_RACE_ENV_H

#include "kernel/mm/image.h"
#include "kernel/signal/sig.h"
#include "kernel/test/fake/check.h"
#include "kernel/test/fake/fake.h"
#include "kernel/test/fs_env.h"

/* Of rooms that are not under test. */
void image_quiesce(void) {}
void proc_park_here(void) {}
void thread_sig_reset(struct thread_sig *ts) { (void)ts; }
void thread_sig_free(struct thread_sig *ts) { (void)ts; }

static struct waitq done_q = WAITQ_INIT(done_q);
static unsigned running, wrong;
static void *memory[16];                /* a buffer for each thread */
static struct thread *race_threads[16]; /* those that run now; tid - 1 */

static void (*body)(unsigned me, void *buf);
static unsigned next_id;

static void run(struct thread *t) {
  sched_thread_begin();
  unsigned me = __atomic_fetch_add(&next_id, 1, __ATOMIC_SEQ_CST);
  t->tid = (int)me + 1;
  t->proc = &env_proc;
  race_threads[me] = t;
  body(me, memory[me]);
  t->proc = NULL;
  __atomic_sub_fetch(&running, 1, __ATOMIC_SEQ_CST);
  waitq_wake(&done_q, 0, 0, 0);
  sched_exit();
}

static void must(bool ok) {
  if (!ok)
    __atomic_store_n(&wrong, 1, __ATOMIC_RELAXED);
}

static void with_threads(unsigned n, void (*f)(unsigned me, void *buf)) {
  body = f;
  next_id = wrong = 0;
  __atomic_store_n(&running, n, __ATOMIC_SEQ_CST);
  for (unsigned i = 0; i < n; i++)
    sched_start(fake_thread(run), 0);
  waitq_wait(&done_q, __atomic_load_n(&running, __ATOMIC_SEQ_CST) == 0);
  CHECK(!wrong);
}

/* The first thing that the first kernel thread does. */
static void race_boot(struct thread *t) {
  sched_thread_begin();
  env_boot();
  fake_become(t);
  t->proc = &env_proc;
  env_proc.nthreads = 4;
  for (unsigned i = 0; i < 16; i++)
    memory[i] = env_user_memory(PAGE_SIZE);
}

#endif
