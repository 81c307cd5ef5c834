/* SPDX-License-Identifier: MIT */
/*
 * epoll against Linux: the same random changes of interest, writes, reads, closes and waits go to
 * our files and to the host's; both must report the same events, and poll the same bits.
 */
#include "kernel/test/fake/check.h"
#include "kernel/test/fs_env.h"
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#define OBJECTS 12 /* even ones pipes, odd ones eventfds */
#define EVENTS 64
#define CALLS 200000

struct pair {
  int ours, theirs;
};

static struct pair ep[2], rd[OBJECTS], wr[OBJECTS]; /* rd == wr for eventfds */
static u64 state = 5;
static u8 *buf; /* user memory */
static int *fds;
static struct epoll_event *events;
static char log_line[200];

static u32 rnd(u32 n) {
  state = state * 6364136223846793005ULL + 1442695040888963407ULL;
  return (u32)(state >> 33) % n;
}

static i64 host(long result) { return result < 0 ? -errno : result; }

static void same(const char *what, i64 ours, i64 theirs) {
  if (ours == theirs)
    return;
  printf("  %s: %s: uFork %ld, Linux %ld\n", log_line, what, (long)ours, (long)theirs);
  check_bad++;
}

static bool is_pipe(int k) { return k % 2 == 0; }

static void make(int k) {
  int host_fds[2];
  if (is_pipe(k)) {
    if (CALL(pipe2, fds, O_NONBLOCK) < 0 || syscall(SYS_pipe2, host_fds, O_NONBLOCK) < 0)
      exit(2);
    rd[k] = (struct pair){fds[0], host_fds[0]};
    wr[k] = (struct pair){fds[1], host_fds[1]};
  } else {
    rd[k].ours = (int)CALL(eventfd2, 0, O_NONBLOCK);
    rd[k].theirs = eventfd(0, EFD_NONBLOCK);
    wr[k] = rd[k];
  }
}

static void close_end(struct pair *p) {
  if (p->ours < 0)
    return;
  same("close", CALL(close, p->ours), host(close(p->theirs)));
  p->ours = p->theirs = -1;
}

static void replace(int k) {
  snprintf(log_line, sizeof log_line, "replace %d", k);
  close_end(&rd[k]);
  if (is_pipe(k))
    close_end(&wr[k]);
  make(k);
}

/* Level, edge, one-shot. A pipe's room is announced more eagerly by us than by Linux, so the write
   end is watched by level only. */
static u32 random_events(bool write_end) {
  u32 ev = write_end ? EPOLLOUT : EPOLLIN;
  if (!write_end && rnd(3) == 0)
    ev |= EPOLLET;
  if (rnd(5) == 0)
    ev |= EPOLLONESHOT;
  return ev;
}

static void change_interest(int k) {
  static const int ops[] = {EPOLL_CTL_ADD, EPOLL_CTL_ADD, EPOLL_CTL_MOD, EPOLL_CTL_DEL};
  bool write_end = is_pipe(k) && rnd(3) == 0;
  struct pair *p = write_end ? &wr[k] : &rd[k], *e = &ep[rnd(2)];
  int op = ops[rnd(4)];
  struct epoll_event ev = {.events = random_events(write_end)};
  ev.data.u64 = (u64)k * 2 + write_end;
  snprintf(log_line, sizeof log_line, "epoll_ctl %d of %d, op %d, events %x", (int)(e - ep), k, op,
           ev.events);
  same("epoll_ctl", CALL(epoll_ctl, e->ours, op, p->ours, &ev),
       host(epoll_ctl(e->theirs, op, p->theirs, &ev)));
}

static void transfer(int k) {
  size_t n = is_pipe(k) ? PAGE_SIZE : 8; /* Linux counts the pages of a pipe, we its bytes */
  bool out = rnd(2);
  memset(buf, 0, n);
  buf[0] = 1;
  snprintf(log_line, sizeof log_line, "%s %d", out ? "write" : "read", k);
  if (out)
    same("write", CALL(write, wr[k].ours, buf, n), host(write(wr[k].theirs, buf, n)));
  else
    same("read", CALL(read, rd[k].ours, buf, n), host(read(rd[k].theirs, buf, n)));
}

static int by_data(const void *a, const void *b) {
  const struct epoll_event *x = a, *y = b;
  return (x->data.u64 > y->data.u64) - (x->data.u64 < y->data.u64);
}

static void compare_wait(void) {
  static struct epoll_event theirs[EVENTS];
  int k = (int)rnd(2);
  snprintf(log_line, sizeof log_line, "epoll_wait %d", k);
  i64 n = CALL(epoll_wait, ep[k].ours, events, EVENTS, 0);
  i64 m = host(epoll_wait(ep[k].theirs, theirs, EVENTS, 0));
  same("events", n, m);
  if (n != m || n < 0)
    return;
  qsort(events, (size_t)n, sizeof *events, by_data);
  qsort(theirs, (size_t)n, sizeof *theirs, by_data);
  for (i64 j = 0; j < n; j++) {
    same("data", (i64)events[j].data.u64, (i64)theirs[j].data.u64);
    same("bits", events[j].events, theirs[j].events);
  }
}

static void compare_poll(void) {
  struct pollfd a[3 * OBJECTS], b[3 * OBJECTS];
  int n = 0;
  snprintf(log_line, sizeof log_line, "poll");
  for (int k = 0; k < OBJECTS; k++) {
    a[n] = (struct pollfd){rd[k].ours, POLLIN, 0};
    b[n++] = (struct pollfd){rd[k].theirs, POLLIN, 0};
    if (!is_pipe(k))
      continue;
    a[n] = (struct pollfd){wr[k].ours, POLLOUT, 0};
    b[n++] = (struct pollfd){wr[k].theirs, POLLOUT, 0};
  }
  same("ready", CALL(poll, a, n, 0), host(poll(b, (nfds_t)n, 0)));
  for (int k = 0; k < n; k++)
    same("bits", a[k].revents, b[k].revents);
}

static void random_calls(void) {
  for (int k = 0; k < CALLS && check_bad < 10; k++) {
    int object = (int)rnd(OBJECTS);
    switch (rnd(10)) {
    case 0:
    case 1:
      change_interest(object);
      break;
    case 2:
      if (rnd(10) == 0)
        replace(object);
      else if (is_pipe(object) && rnd(10) == 0)
        close_end(&wr[object]);
      break;
    case 3:
    case 4:
    case 5:
      compare_wait();
      break;
    case 6:
      compare_poll();
      break;
    default:
      transfer(object);
    }
  }
}

/* An epoll in an epoll is readable while something in it is. */
static void nested(void) {
  int top = (int)CALL(epoll_create1, 0), inner = (int)CALL(epoll_create1, 0);
  int fd = (int)CALL(eventfd2, 0, O_NONBLOCK);
  struct epoll_event ev = {.events = EPOLLIN};
  CHECK(CALL(epoll_ctl, top, EPOLL_CTL_ADD, inner, &ev) == 0);
  CHECK(CALL(epoll_ctl, inner, EPOLL_CTL_ADD, fd, &ev) == 0);
  CHECK(CALL(epoll_ctl, inner, EPOLL_CTL_ADD, top, &ev) == -ELOOP);
  CHECK(CALL(epoll_ctl, top, EPOLL_CTL_ADD, top, &ev) == -EINVAL);
  CHECK(CALL(epoll_wait, top, events, EVENTS, 0) == 0);
  memset(buf, 1, 8);
  CHECK(CALL(write, fd, buf, 8) == 8);
  CHECK(CALL(epoll_wait, top, events, EVENTS, 0) == 1);
  CHECK(CALL(epoll_wait, inner, events, EVENTS, 0) == 1);
  CHECK(CALL(read, fd, buf, 8) == 8);
  CHECK(CALL(epoll_wait, top, events, EVENTS, 0) == 0);
  CALL(close, inner); /* leaves top by itself */
  CHECK(CALL(write, fd, buf, 8) == 8);
  CHECK(CALL(epoll_wait, top, events, EVENTS, 0) == 0);
  CALL(close, fd);
  CALL(close, top);
}

static void deep_nesting(void) {
  int fd[8];
  i64 e = 0;
  struct epoll_event ev = {.events = EPOLLIN};
  for (int k = 0; k < 8; k++)
    fd[k] = (int)CALL(epoll_create1, 0);
  for (int k = 0; k < 7 && e == 0; k++)
    e = CALL(epoll_ctl, fd[k], EPOLL_CTL_ADD, fd[k + 1], &ev);
  CHECK(e == -ELOOP);
  for (int k = 0; k < 8; k++)
    CALL(close, fd[k]);
}

int main(void) {
  env_boot();
  buf = env_user_memory(8192);
  fds = env_user_memory(8);
  events = env_user_memory(EVENTS * sizeof *events);
  for (int k = 0; k < 2; k++)
    ep[k] = (struct pair){(int)CALL(epoll_create1, 0), epoll_create1(0)};
  for (int k = 0; k < OBJECTS; k++)
    make(k);
  TEST(random_calls);
  TEST(nested);
  TEST(deep_nesting);
  return check_summary("fs_epoll");
}
