/* SPDX-License-Identifier: MIT */
/*
 * A queue of jobs that lie on their callers' stacks. A worker is no vCPU and cannot wake a thread:
 * it marks the job as done and rings the bell of the vCPU that the job came from, an eventfd whose
 * readiness reaches the sleepers' wait queue as that of any other host descriptor does; each looks
 * whether its own job is done.
 */
#include "plat/hosted/offload.h"
#include "kernel/errno.h"
#include "kernel/sched/sched.h"
#include "plat/hosted/cpu.h"
#include "plat/hosted/hostio.h"
#include "plat/hosted/together.h"

struct job {
  struct list node;
  u64 nr, arg[4];
  int bell;
  i64 result;
  bool done; /* atomic; the worker's last access */
};

/* Made by its vCPU, which then is the one that listens, at its first job; never removed. */
struct bell {
  struct hostio io;
  struct waitq finished;
  bool made;
};

#define CLOSING_MAX 16

static struct spin lock; /* the queue, and closing */
static struct list queue = LIST_INIT(queue);
static int closing[CLOSING_MAX]; /* descriptors that nobody waits for */
static u32 n_closing;
static u32 posted; /* jobs ever queued: the futex that workers sleep on; atomic */
static struct bell bells[MAX_CPUS];

/* The bell of this vCPU; NULL: the host has no descriptor to spare. */
static struct bell *my_bell(void) {
  enum { HOST_EFD_FLAGS = 02004000 /* CLOEXEC, NONBLOCK */ };
  struct bell *b = &bells[vcpu_self()->id];
  if (likely(b->made))
    return b;
  i64 fd = lx_call6(290 /* eventfd2 */, 0, HOST_EFD_FLAGS, 0, 0, 0, 0);
  if (fd < 0)
    return NULL;
  waitq_init(&b->finished);
  if (hostio_add(&b->io, (int)fd, &b->finished)) {
    lx1(close, fd);
    return NULL;
  }
  b->made = true;
  return b;
}

static struct job *next_job(void) {
  spin_lock(&lock);
  struct list *first = list_pop_front(&queue);
  spin_unlock(&lock);
  return first ? list_entry(first, struct job, node) : NULL;
}

static void work(struct job *j) {
  static const u64 one = 1;
  int bell = j->bell; /* the job is gone when it is done */
  do
    j->result = lx_call6(j->nr, j->arg[0], j->arg[1], j->arg[2], j->arg[3], 0, 0);
  while (j->result == -EINTR);
  __atomic_store_n(&j->done, true, __ATOMIC_SEQ_CST);
  lx3(write, bell, &one, sizeof(one));
}

static int next_closing(void) {
  spin_lock(&lock);
  int fd = n_closing ? closing[--n_closing] : -1;
  spin_unlock(&lock);
  return fd;
}

_Noreturn void offload_run(void) {
  for (;;) {
    u32 seen = __atomic_load_n(&posted, __ATOMIC_SEQ_CST);
    struct job *j = next_job();
    int fd = j ? -1 : next_closing();
    if (j)
      work(j);
    else if (fd >= 0)
      lx1(close, fd);
    else
      lx4(futex, &posted, LX_FUTEX_WAIT_PRIVATE, seen, NULL);
  }
}

static void post(void) {
  __atomic_add_fetch(&posted, 1, __ATOMIC_SEQ_CST);
  lx3(futex, &posted, LX_FUTEX_WAKE_PRIVATE, 1);
}

void offload_close(int fd) {
  spin_lock(&lock);
  bool room = n_closing < CLOSING_MAX;
  if (room)
    closing[n_closing++] = fd;
  spin_unlock(&lock);
  if (room)
    post();
  else
    lx1(close, fd);
}

i64 offload_call(u64 nr, u64 a, u64 b, u64 c, u64 d) {
  together_end();
  struct bell *bell = my_bell();
  if (!bell)
    return LX_RETRY(lx_call6(nr, a, b, c, d, 0, 0));
  struct job j = {.nr = nr, .arg = {a, b, c, d}, .bell = bell->io.fd};
  struct waiter w = {.thread = NULL};
  spin_lock(&lock);
  list_push_back(&queue, &j.node);
  spin_unlock(&lock);
  post();
  for (;;) {
    waitq_prepare(&bell->finished, &w, THREAD_UNINTERRUPTIBLE);
    if (__atomic_load_n(&j.done, __ATOMIC_SEQ_CST))
      break;
    schedule();
  }
  waitq_finish(&w);
  return j.result;
}
