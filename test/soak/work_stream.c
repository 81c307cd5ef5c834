/* SPDX-License-Identifier: MIT */
/* Bytes through pipes, FIFOs, Unix and TCP sockets: every one arrives, in order, however reader and
   writer wait, and whatever signals interrupt them. */
#include "soak.h"
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/sendfile.h>
#include <sys/time.h>
#include <sys/uio.h>

enum { VIA_PIPE, VIA_FIFO, VIA_UNIX, VIA_TCP, VIAS };
enum { WAIT_BLOCK, WAIT_POLL, WAIT_EPOLL, WAIT_SELECT, WAIT_SPIN, WAITS };

static atomic_int interrupts;
static void on_alarm(int sig) { (void)sig, interrupts++; }

/* Waits until fd can be read (or written) in one of several ways. */
static void wait_for_fd(int fd, bool out, int how) {
  struct pollfd p = {fd, out ? POLLOUT : POLLIN, 0};
  MARK();
  if (how == WAIT_POLL) {
    poll(&p, 1, 1000);
  } else if (how == WAIT_SELECT) {
    fd_set set;
    struct timeval tv = {1, 0};
    FD_ZERO(&set);
    FD_SET(fd, &set);
    select(fd + 1, out ? NULL : &set, out ? &set : NULL, NULL, &tv);
  } else if (how == WAIT_EPOLL) {
    int ep = OK(epoll_create1(EPOLL_CLOEXEC));
    struct epoll_event ev = {.events = out ? EPOLLOUT : EPOLLIN}, got;
    OK(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev));
    epoll_wait(ep, &got, 1, 1000);
    OK(close(ep));
  } else {
    sched_yield();
  }
}

static void set_blocking(int fd, int how) {
  int flags = OK(fcntl(fd, F_GETFL));
  OK(fcntl(fd, F_SETFL, how == WAIT_BLOCK ? flags & ~O_NONBLOCK : flags | O_NONBLOCK));
}

/* A reader's status in a lean run if the stream ended too soon: somebody before it must have. */
#define STATUS_SHORT 76

static bool must_wait(void) { return errno == EAGAIN || errno == EINTR; }

static void writer(int fd, uint64_t seed, size_t total, uint64_t *r) {
  static char buf[70000];
  int how = (int)below(r, WAITS);
  set_blocking(fd, how);
  for (size_t at = 0; at < total;) {
    size_t n = 1 + below(r, below(r, 2) ? 300 : sizeof buf - 1);
    if (n > total - at)
      n = total - at;
    pattern_fill(buf, n, seed, at);
    struct iovec iov[2] = {{buf, n / 3}, {buf + n / 3, n - n / 3}};
    MARK();
    ssize_t k = below(r, 3) ? write(fd, buf, n) : writev(fd, iov, 2);
    if (k < 0) {
      CHECK(must_wait() || (lean && is_scarce(errno)));
      wait_for_fd(fd, true, how);
      continue;
    }
    CHECK(k > 0);
    at += (size_t)k;
  }
}

static void reader(int fd, uint64_t seed, size_t total, uint64_t *r) {
  static char buf[70000];
  int how = (int)below(r, WAITS);
  size_t at = 0;
  set_blocking(fd, how);
  for (;;) {
    size_t n = 1 + below(r, below(r, 2) ? 300 : sizeof buf - 1);
    struct iovec iov[2] = {{buf, n / 4}, {buf + n / 4, n - n / 4}};
    MARK();
    ssize_t k = below(r, 3) ? read(fd, buf, n) : readv(fd, iov, 2);
    if (k < 0) {
      CHECK(must_wait() || (lean && is_scarce(errno)));
      wait_for_fd(fd, false, how);
      continue;
    }
    if (k == 0)
      break;
    EXPECT(pattern_check(buf, (size_t)k, seed, at), -1);
    at += (size_t)k;
  }
  if (lean && at < total)
    _exit(STATUS_SHORT);
  EXPECT(at, total);
}

static void tcp_pair(int *fd) {
  struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t len = sizeof a;
  int l = OK(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  OK(bind(l, (struct sockaddr *)&a, len));
  OK(listen(l, 4));
  OK(getsockname(l, (struct sockaddr *)&a, &len));
  fd[1] = OK(socket(AF_INET, SOCK_STREAM, 0));
  OK(connect(fd[1], (struct sockaddr *)&a, sizeof a));
  fd[0] = OK(accept(l, NULL, NULL));
  OK(close(l));
}

static void fifo_pair(int *fd) {
  char name[40];
  snprintf(name, sizeof name, "fifo-%d", (int)getpid());
  OK(mkfifo(name, 0600));
  fd[0] = open(name, O_RDONLY | O_NONBLOCK);
  fd[1] = open(name, O_WRONLY);
  OK(unlink(name));
  CHECK((fd[0] >= 0 && fd[1] >= 0) || lean);
  if (fd[0] < 0 || fd[1] < 0)
    give_up_quietly();
}

static void open_pair(int via, int *fd) {
  if (via == VIA_PIPE)
    OK(pipe(fd));
  else if (via == VIA_FIFO)
    fifo_pair(fd);
  else if (via == VIA_UNIX)
    OK(socketpair(AF_UNIX, SOCK_STREAM, 0, fd));
  else
    tcp_pair(fd);
}

static void interrupt_often(uint64_t *r) {
  struct itimerval it = {{0, 500 + below(r, 3000)}, {0, 500}};
  catch_signal(SIGALRM, on_alarm, below(r, 2) ? SA_RESTART : 0);
  OK(setitimer(ITIMER_REAL, &it, NULL));
}

/* A chain of processes: the first writes, those between copy, the last checks. */
static void copier(int in, int out, uint64_t *r) {
  static char buf[30000];
  set_blocking(in, WAIT_BLOCK);
  for (;;) {
    ssize_t n = read(in, buf, 1 + below(r, sizeof buf));
    if (n < 0 && errno == EINTR)
      continue;
    CHECK(n >= 0 || (lean && is_scarce(errno)));
    if (n < 0)
      give_up_quietly();
    if (n == 0)
      break;
    write_full(out, buf, (size_t)n);
  }
}

/* In a lean run each may give up or be killed for want of memory; then the reader may end short. */
static void wait_for_chain(const pid_t *pids, unsigned n) {
  bool excused = false, ended_short = false;
  for (unsigned i = 0; i < n; i++) {
    int status = lean ? status_of(pids[i]) : 0;
    if (!lean)
      EXPECT_EXIT(pids[i], 0);
    else if (WIFSIGNALED(status) && (WTERMSIG(status) == SIGBUS || WTERMSIG(status) == SIGKILL))
      excused = true;
    else if (WIFEXITED(status) && WEXITSTATUS(status) == STATUS_SCARCE)
      excused = true;
    else if (WIFEXITED(status) && WEXITSTATUS(status) == STATUS_SHORT)
      ended_short = true;
    else
      EXPECT(status, 0);
  }
  CHECK(excused || !ended_short);
  if (excused)
    give_up_quietly();
}

void job_stream(uint64_t *r) {
  unsigned links = 1 + below(r, 3);
  size_t total = below(r, 4) ? below(r, 100000) : below(r, 1000000);
  uint64_t seed = rnd(r);
  pid_t pids[4];
  int fd[2], in = -1;
  for (unsigned i = 0; i <= links; i++) {
    if (i < links)
      open_pair((int)below(r, VIAS), fd);
    uint64_t mine = mix(*r, i);
    pids[i] = child();
    if (pids[i] == 0) {
      if (i < links)
        OK(close(fd[0]));
      if (below(&mine, 3) == 0)
        interrupt_often(&mine);
      if (i == 0)
        writer(fd[1], seed, total, &mine);
      else if (i < links)
        copier(in, fd[1], &mine);
      else
        reader(in, seed, total, &mine);
      _exit(0);
    }
    if (in >= 0)
      OK(close(in));
    if (i < links)
      OK(close(fd[1]));
    in = fd[0];
  }
  wait_for_chain(pids, links + 1);
}
