/* SPDX-License-Identifier: MIT */
/*
 * A queue of jobs that lie on their callers' stacks. A worker is no vCPU and cannot wake a thread:
 * it marks the job as done and signals an eventfd, whose readiness reaches the sleepers' wait queue
 * as that of any other host descriptor does; each looks whether its own job is done.
 */
#include "plat/hosted/offload.h"
#include "kernel/errno.h"
#include "kernel/sched/sched.h"
#include "plat/hosted/hostio.h"

struct job {
  struct list node;
  u64 nr, arg[4];
  i64 result;
  bool done; /* atomic; the worker's last access */
};

static struct spin lock; /* the queue */
static struct list queue = LIST_INIT(queue);
static u32 posted; /* jobs ever queued: the futex that workers sleep on; atomic */
static struct waitq finished = WAITQ_INIT(finished);
static struct hostio bell = {.fd = -1};

int offload_init(void) {
  enum { HOST_EFD_FLAGS = 02004000 /* CLOEXEC, NONBLOCK */ };
  i64 fd = lx_call6(290 /* eventfd2 */, 0, HOST_EFD_FLAGS, 0, 0, 0, 0);
  return fd < 0 ? (int)fd : hostio_add(&bell, (int)fd, &finished);
}

static struct job *next_job(void) {
  spin_lock(&lock);
  struct list *first = list_pop_front(&queue);
  spin_unlock(&lock);
  return first ? list_entry(first, struct job, node) : NULL;
}

static void work(struct job *j) {
  static const u64 one = 1;
  do
    j->result = lx_call6(j->nr, j->arg[0], j->arg[1], j->arg[2], j->arg[3], 0, 0);
  while (j->result == -EINTR);
  __atomic_store_n(&j->done, true, __ATOMIC_SEQ_CST);
  lx3(write, bell.fd, &one, sizeof(one));
}

_Noreturn void offload_run(void) {
  for (;;) {
    u32 seen = __atomic_load_n(&posted, __ATOMIC_SEQ_CST);
    struct job *j = next_job();
    if (j)
      work(j);
    else
      lx4(futex, &posted, LX_FUTEX_WAIT_PRIVATE, seen, NULL);
  }
}

i64 offload_call(u64 nr, u64 a, u64 b, u64 c, u64 d) {
  struct job j = {.nr = nr, .arg = {a, b, c, d}};
  struct waiter w = {.thread = NULL};
  spin_lock(&lock);
  list_push_back(&queue, &j.node);
  spin_unlock(&lock);
  __atomic_add_fetch(&posted, 1, __ATOMIC_SEQ_CST);
  lx3(futex, &posted, LX_FUTEX_WAKE_PRIVATE, 1);
  for (;;) {
    waitq_prepare(&finished, &w, THREAD_UNINTERRUPTIBLE);
    if (__atomic_load_n(&j.done, __ATOMIC_SEQ_CST))
      break;
    schedule();
  }
  waitq_finish(&w);
  return j.result;
}
