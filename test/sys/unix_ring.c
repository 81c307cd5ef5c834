/* SPDX-License-Identifier: MIT */
/*
 * Sockets that only each other's queues hold are closed, with all that waits in these queues; those
 * that somebody can still receive are not. A pipe's end that travels along tells.
 */
/* test: timeout=120 */
#include "check.h"
#include <poll.h>
#include <sys/socket.h>

enum { CARRIED_MAX = 100 };

static void send_fds(int sock, const int *fds, int n) {
  union {
    struct cmsghdr head;
    char space[CMSG_SPACE(CARRIED_MAX * sizeof(int))];
  } c = {0};
  struct iovec v = {"r", 1};
  struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = &c};
  m.msg_controllen = CMSG_SPACE((size_t)n * sizeof(int));
  struct cmsghdr *h = CMSG_FIRSTHDR(&m);
  h->cmsg_level = SOL_SOCKET, h->cmsg_type = SCM_RIGHTS;
  h->cmsg_len = CMSG_LEN((size_t)n * sizeof(int));
  memcpy(CMSG_DATA(h), fds, (size_t)n * sizeof(int));
  EXPECT(sendmsg(sock, &m, 0), 1);
}

static int receive_fd(int sock, int flags) {
  union {
    struct cmsghdr head;
    char space[CMSG_SPACE(2 * sizeof(int))];
  } c;
  char byte;
  int fds[2] = {-1, -1};
  struct iovec v = {&byte, 1};
  struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = &c, .msg_controllen = sizeof c};
  EXPECT(recvmsg(sock, &m, flags), 1);
  struct cmsghdr *h = CMSG_FIRSTHDR(&m);
  CHECK(h && h->cmsg_type == SCM_RIGHTS && h->cmsg_len == CMSG_LEN(sizeof fds));
  memcpy(fds, CMSG_DATA(h), sizeof fds);
  OK(close(fds[1]));
  return fds[0];
}

/* Linux looks for rings when another socket is closed. */
static void nudge(void) {
  int s[2];
  OK(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
  OK(close(s[0])), OK(close(s[1]));
}

static void expect_end(int r, int line) {
  struct pollfd p = {.fd = r, .events = POLLIN};
  char c;
  for (int i = 0; i < 5000; i++) {
    nudge();
    if (poll(&p, 1, 10) == 1) {
      EXPECT(p.revents, POLLHUP);
      EXPECT(read(r, &c, 1), 0);
      OK(close(r));
      return;
    }
  }
  check_fail(__FILE__, line, "the pipe's other end is closed", 0);
}
#define ENDS(r) expect_end(r, __LINE__)

static void is_open_at(int r, int line) {
  struct pollfd p = {.fd = r, .events = POLLIN};
  nudge();
  if (poll(&p, 1, 30) != 0)
    check_fail(__FILE__, line, "the pipe is open", p.revents);
}

#define is_open(r) is_open_at(r, __LINE__)

static int pipe_to_carry(int *w) {
  int p[2];
  OK(pipe(p));
  *w = p[1];
  return p[0];
}

/* A socket in its own queue. */
static void itself(int type) {
  int s[2], fds[2], r = pipe_to_carry(&fds[1]);
  OK(socketpair(AF_UNIX, type, 0, s));
  fds[0] = s[0];
  send_fds(s[1], fds, 2);
  OK(close(fds[1]));
  OK(close(s[1]));
  is_open(r);
  OK(close(s[0]));
  ENDS(r);
}

/* n sockets, each in the next one's queue; the pipe's end is in one of them. */
static void ring(int n) {
  int(*s)[2] = calloc((size_t)n, sizeof *s), fds[2], r = pipe_to_carry(&fds[1]), other;
  int null = OK(open("/dev/null", O_WRONLY));
  for (int i = 0; i < n; i++)
    OK(socketpair(AF_UNIX, SOCK_STREAM, 0, s[i]));
  other = fds[1];
  for (int i = 0; i < n; i++) {
    fds[0] = s[i][0];
    fds[1] = i == n - 1 ? other : null;
    send_fds(s[(i + 1) % n][1], fds, 2);
  }
  OK(close(other)), OK(close(null));
  for (int i = 0; i < n; i++)
    OK(close(s[i][1]));
  for (int i = 1; i < n; i++)
    OK(close(s[i][0]));
  is_open(r); /* the first one can be received from, and so on */
  int all = s[0][0];
  if (n > 1) {
    int peeked = receive_fd(all, MSG_PEEK);
    OK(close(all));
    is_open(r);
    all = receive_fd(peeked, MSG_PEEK);
    OK(close(peeked));
    is_open(r);
  }
  OK(close(all));
  ENDS(r);
  free(s);
}

/* In the queue of a connection that nobody has accepted, of a listener that is in flight. */
static void not_accepted(void) {
  struct sockaddr_un {
    sa_family_t family;
    char path[32];
  } a = {AF_UNIX, ""};
  int l = OK(socket(AF_UNIX, SOCK_STREAM, 0)), c = OK(socket(AF_UNIX, SOCK_STREAM, 0));
  int fds[2], r = pipe_to_carry(&fds[1]);
  snprintf(a.path + 1, sizeof a.path - 1, "ufork-ring-%d", (int)getpid());
  OK(bind(l, (void *)&a, sizeof a)), OK(listen(l, 5));
  OK(connect(c, (void *)&a, sizeof a));
  fds[0] = l;
  send_fds(c, fds, 2);
  OK(close(fds[1])), OK(close(c));
  is_open(r);
  OK(close(l));
  ENDS(r);
}

/* A live socket holds a ring; when it goes, or its process, the ring goes. */
static void held_from_outside(int by_child) {
  int s[2], holder[2], fds[2], r = pipe_to_carry(&fds[1]);
  OK(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, s));
  OK(socketpair(AF_UNIX, SOCK_DGRAM, 0, holder));
  pid_t pid = by_child ? OK(fork()) : 0;
  if (by_child && pid == 0) {
    OK(close(holder[1])), OK(close(s[0])), OK(close(s[1])), OK(close(fds[1]));
    for (;;)
      pause();
  }
  fds[0] = s[0];
  send_fds(s[1], fds, 2);
  send_fds(holder[1], fds, 2);
  OK(close(fds[1])), OK(close(s[0])), OK(close(s[1]));
  is_open(r);
  OK(close(holder[1]));
  OK(close(holder[0]));
  if (by_child) {
    is_open(r);
    OK(kill(pid, SIGKILL));
    EXPECT_SIGNAL(pid, SIGKILL);
  }
  ENDS(r);
}

/* More files in lost rings than may be under way at once: they are given back. */
static void many(void) {
  int fds[CARRIED_MAX], s[2];
  for (int i = 1; i < CARRIED_MAX; i++)
    fds[i] = 0;
  for (int round = 0; round < 1000; round++) {
    OK(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
    fds[0] = s[0];
    send_fds(s[1], fds, CARRIED_MAX);
    OK(close(s[0])), OK(close(s[1]));
  }
}

int main(void) {
  itself(SOCK_STREAM), itself(SOCK_DGRAM), itself(SOCK_SEQPACKET);
  ring(1), ring(2), ring(3), ring(100);
  not_accepted();
  held_from_outside(0), held_from_outside(1);
  many();
  ring(5);
  return done();
}
