/* SPDX-License-Identifier: MIT */
/* Packets in order on a connection: bounds, truncation, peek, gathered ones, the end, errors, many
   connections through a name, and blocking across fork. */
#include "check.h"
#include <poll.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>

static int s[2];
static char buf[100];

static void bounds(void) {
  struct iovec out[3] = {{"ab", 2}, {"", 0}, {"cde", 3}}, in[2] = {{buf, 1}, {buf + 10, 20}};
  struct msghdr m = {.msg_iov = in, .msg_iovlen = 2};
  EXPECT(send(s[0], "first", 5, 0), 5);
  EXPECT(writev(s[0], out, 3), 5);
  EXPECT(write(s[0], "third", 5), 5);
  EXPECT(recv(s[1], buf, 100, MSG_PEEK), 5);
  EXPECT(recv(s[1], buf, 100, 0), 5);
  CHECK(!memcmp(buf, "first", 5));
  EXPECT(recvmsg(s[1], &m, 0), 5);
  EXPECT(m.msg_flags & MSG_TRUNC, 0);
  CHECK(buf[0] == 'a' && !memcmp(buf + 10, "bcde", 4));
  EXPECT(recv(s[1], buf, 2, MSG_PEEK | MSG_TRUNC), 5); /* how long it is */
  m.msg_iovlen = 1;
  EXPECT(recvmsg(s[1], &m, 0), 1);
  EXPECT(m.msg_flags & MSG_TRUNC, MSG_TRUNC); /* and the rest is gone */
  FAILS(recv(s[1], buf, 100, MSG_DONTWAIT), EAGAIN);
  EXPECT(read(s[1], buf, 0), 0);
}

/* A full queue takes no part of a packet. */
static void full(void) {
  static char big[8000];
  int sent = 0, size;
  socklen_t len = sizeof size;
  OK(getsockopt(s[0], SOL_SOCKET, SO_SNDBUF, &size, &len));
  FAILS(send(s[0], memset(malloc((size_t)size * 4), 0, (size_t)size * 4), (size_t)size * 4, 0),
        EMSGSIZE);
  while (send(s[0], big, sizeof big, MSG_DONTWAIT) == sizeof big)
    sent++;
  EXPECT(errno, EAGAIN);
  CHECK(sent > 2);
  struct pollfd p = {s[0], POLLOUT, 0};
  EXPECT(poll(&p, 1, 0), 0);
  pid_t pid = OK(fork());
  if (pid == 0) { /* waits for room */
    EXPECT(send(s[0], "last", 4, 0), 4);
    _exit(0);
  }
  for (int i = 0; i < sent; i++)
    EXPECT(recv(s[1], big, sizeof big, 0), sizeof big);
  EXPECT(recv(s[1], buf, sizeof buf, 0), 4);
  EXPECT_EXIT(pid, 0);
  EXPECT(poll(&p, 1, 0), 1);
}

static void ends(void) {
  EXPECT(send(s[0], "x", 1, 0), 1);
  OK(shutdown(s[0], SHUT_WR));
  FAILS(send(s[0], "y", 1, MSG_NOSIGNAL), EPIPE);
  EXPECT(recv(s[1], buf, 100, 0), 1); /* what was sent comes before the end */
  EXPECT(recv(s[1], buf, 100, 0), 0);
  EXPECT(send(s[1], "z", 1, 0), 1); /* the other way is open */
  EXPECT(recv(s[0], buf, 100, 0), 1);
  struct pollfd p = {s[1], POLLIN | POLLRDHUP, 0};
  EXPECT(poll(&p, 1, 0), 1);
  EXPECT(p.revents, POLLIN | POLLRDHUP);
  OK(close(s[0]));
  EXPECT(poll(&p, 1, 0), 1);
  EXPECT(p.revents, POLLIN | POLLRDHUP | POLLHUP);
  FAILS(send(s[1], "z", 1, MSG_NOSIGNAL), EPIPE);
  signal(SIGPIPE, SIG_IGN);
  FAILS(write(s[1], "z", 1), EPIPE);
  OK(close(s[1]));
  OK(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, s));
  EXPECT(send(s[0], "unread", 6, 0), 6);
  OK(close(s[1])); /* with something in it */
  FAILS(recv(s[0], buf, 100, 0), ECONNRESET);
  EXPECT(recv(s[0], buf, 100, 0), 0);
  OK(close(s[0]));
}

static void named(void) {
  struct sockaddr_un a = {.sun_family = AF_UNIX}, got;
  socklen_t len = sizeof got;
  int n = sprintf(a.sun_path + 1, "ufork-packets-%d", (int)getpid());
  socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n);
  int l = OK(socket(AF_UNIX, SOCK_SEQPACKET, 0)), c = OK(socket(AF_UNIX, SOCK_SEQPACKET, 0)), v;
  FAILS(send(c, "x", 1, MSG_NOSIGNAL), ENOTCONN);
  FAILS(recv(c, buf, 1, MSG_DONTWAIT), ENOTCONN);
  FAILS(connect(c, (void *)&a, size), ECONNREFUSED);
  OK(bind(l, (void *)&a, size));
  FAILS(connect(c, (void *)&a, size), ECONNREFUSED); /* nobody listens */
  OK(listen(l, 5));
  int wrong = OK(socket(AF_UNIX, SOCK_STREAM, 0));
  FAILS(connect(wrong, (void *)&a, size), ECONNREFUSED); /* a name of another type */
  OK(bind(wrong, (void *)&a, size));
  FAILS(sendto(c, "x", 1, 0, (void *)&a, size), ENOTCONN);
  len = sizeof v;
  OK(getsockopt(l, SOL_SOCKET, SO_TYPE, &v, &len));
  EXPECT(v, SOCK_SEQPACKET);
  pid_t pids[4];
  for (int i = 0; i < 4; i++) {
    pids[i] = OK(fork());
    if (pids[i])
      continue;
    c = OK(socket(AF_UNIX, SOCK_SEQPACKET, 0));
    OK(connect(c, (void *)&a, size));
    FAILS(connect(c, (void *)&a, size), EISCONN);
    EXPECT(sendto(c, "first", 5, 0, (void *)&a, 2), 5); /* an address means nothing */
    for (int k = 0; k < 100; k++) {
      n = snprintf(buf, sizeof buf, "%d of %d", k, i);
      EXPECT(send(c, buf, (size_t)n, 0), n);
      EXPECT(recv(c, buf, sizeof buf, 0), sizeof k);
      CHECK(!memcmp(buf, &k, sizeof k));
    }
    _exit(0);
  }
  int conn[4];
  for (int i = 0; i < 4; i++) {
    len = sizeof got;
    conn[i] = OK(accept(l, (void *)&got, &len));
    EXPECT(got.sun_family, AF_UNIX);
    EXPECT(len, 2); /* the other end has no name */
    len = sizeof got;
    OK(getsockname(conn[i], (void *)&got, &len));
    EXPECT(len, size);
  }
  for (int i = 0; i < 4; i++)
    EXPECT(recv(conn[i], buf, sizeof buf, 0), 5);
  for (int k = 0; k < 100; k++)
    for (int i = 0; i < 4; i++) {
      int x, who;
      ssize_t got_n = OK(recv(conn[i], buf, sizeof buf - 1, 0));
      buf[got_n] = 0;
      EXPECT(sscanf(buf, "%d of %d", &x, &who), 2);
      EXPECT(x, k);
      EXPECT(send(conn[i], &k, sizeof k, 0), sizeof k);
    }
  for (int i = 0; i < 4; i++) {
    EXPECT_EXIT(pids[i], 0);
    OK(close(conn[i]));
  }
}

int main(void) {
  OK(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, s));
  bounds();
  full();
  ends();
  named();
  return done();
}
