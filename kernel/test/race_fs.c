/* SPDX-License-Identifier: MIT */
/*
 * Files that several threads of one process use at once, on the real scheduler with host threads as
 * CPUs, for the thread sanitizer: pipes, eventfds behind epoll, the descriptor table.
 */
#include "kernel/fs/fdtable.h"
#include "kernel/test/race_env.h"
#include <stdlib.h>
#include <string.h>

#define ROUNDS 1500

/* ---- one pipe, two writers, two readers: nothing is lost, nothing twice
 * ---------------------------
 */

static int *fds;
static u64 sent, received;

static void use_pipe(unsigned me, void *buf) {
  u64 *words = buf;
  for (u64 i = 1; i <= ROUNDS && me < 2; i++) {
    for (unsigned k = 0; k < 8; k++)
      words[k] = i + k;
    __atomic_add_fetch(&sent, 8 * i + 28, __ATOMIC_RELAXED);
    must(CALL(write, fds[1], buf, 64) == 64);
  }
  for (u64 i = 1; i <= ROUNDS && me >= 2; i++) {
    i64 n = 0;
    while (n < 64) { /* what is read is a multiple of what is written or asked for */
      i64 k = CALL(read, fds[0], (u8 *)buf + n, 64 - n);
      must(k > 0);
      if (k <= 0)
        return;
      n += k;
    }
    for (unsigned k = 0; k < 8; k++)
      __atomic_add_fetch(&received, words[k], __ATOMIC_RELAXED);
  }
}

static void pipes(void) {
  sent = received = 0;
  CHECK(CALL(pipe2, fds, 0) == 0);
  with_threads(4, use_pipe);
  CHECK(sent == received);
  CHECK(CALL(close, fds[0]) == 0);
  CHECK(CALL(close, fds[1]) == 0);
}

/* ---- eventfds behind epoll ------------------------------------------------------------------- */

struct packed_event {
  u32 events;
  u64 data;
} __attribute__((packed));

#define EPOLL_ADD 1
static int ep, event[3];
static u64 counted;

static void use_epoll(unsigned me, void *buf) {
  u64 *word = buf;
  struct packed_event *ev = (struct packed_event *)(word + 1);
  for (unsigned i = 0; i < ROUNDS && me < 2; i++) {
    *word = 1;
    must(CALL(write, event[(i + me) % 3], word, 8) == 8);
    if (i % 7 == 0)
      sched_yield_cpu();
  }
  while (me >= 2 && __atomic_load_n(&counted, __ATOMIC_SEQ_CST) < 2 * ROUNDS) {
    i64 n = CALL(epoll_wait, ep, ev, 2, 5);
    must(n >= 0);
    for (i64 i = 0; i < n; i++)
      if (CALL(read, (int)ev[i].data, word, 8) == 8)
        __atomic_add_fetch(&counted, *word, __ATOMIC_SEQ_CST);
  }
}

static void epoll(void) {
  struct packed_event *ev = memory[0];
  counted = 0;
  ep = (int)CALL(epoll_create1, 0);
  CHECK(ep >= 0);
  for (int i = 0; i < 3; i++) {
    event[i] = (int)CALL(eventfd2, 0, O_NONBLOCK);
    *ev = (struct packed_event){POLLIN, (u64)event[i]};
    CHECK(CALL(epoll_ctl, ep, EPOLL_ADD, event[i], ev) == 0);
  }
  with_threads(4, use_epoll);
  CHECK(counted == 2 * ROUNDS);
  for (int i = 0; i < 3; i++)
    CHECK(CALL(close, event[i]) == 0);
  CHECK(CALL(close, ep) == 0);
}

/* ---- descriptors that come and go
 * ---------------------------------------------------------------- */

static void use_descriptors(unsigned me, void *buf) {
  for (unsigned i = 0; i < ROUNDS; i++) {
    int fd = (int)CALL(eventfd2, 5, O_NONBLOCK);
    must(fd >= 0);
    int copy = (int)CALL(dup, fd);
    must(copy >= 0 || copy == -EBADF); /* somebody has closed it */
    if (copy < 0)
      continue;
    CALL(close, 3 + (fd + (int)me * 7 + (int)i) % 12); /* somebody's, who then finds it gone */
    i64 n = CALL(read, copy, buf, 8);
    must(n == 8 || n == -EAGAIN || n == -EBADF);
    CALL(close, fd);
    CALL(close, copy);
  }
}

static void descriptors(void) {
  with_threads(4, use_descriptors);
  for (int fd = 0; fd < 64; fd++)
    CALL(close, fd);
  CHECK(fdtable_next(env_proc.files, 0) == -1);
}

static void all(struct thread *t) {
  race_boot(t);
  fds = memory[15];
  TEST(pipes);
  TEST(epoll);
  TEST(descriptors);
  fake_stop();
}

int main(int argc, char **argv) {
  fake_ncpus = argc > 1 ? (unsigned)atoi(argv[1]) : 1;
  fake_run(all);
  return check_summary("race_fs");
}
