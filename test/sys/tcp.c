/* SPDX-License-Identifier: MIT */
/* TCP over loopback: names and ports, accept, both directions, half close, refusal, options. */
#include "check.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

static struct sockaddr_in address = {.sin_family = AF_INET};

static void client(void) {
  char buf[100];
  int c = OK(socket(AF_INET, SOCK_STREAM, 0)), on = 1;
  OK(connect(c, (void *)&address, sizeof address));
  OK(setsockopt(c, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on));
  struct sockaddr_in peer;
  socklen_t size = sizeof peer;
  OK(getpeername(c, (void *)&peer, &size));
  CHECK(peer.sin_port == address.sin_port);
  static char block[100000];
  for (int i = 0; i < 20; i++)
    for (size_t sent = 0; sent < sizeof block;)
      sent += (size_t)OK(write(c, block + sent, sizeof block - sent));
  OK(shutdown(c, SHUT_WR));
  EXPECT(read(c, buf, 100), 4);
  CHECK(!memcmp(buf, "done", 4));
  EXPECT(read(c, buf, 100), 0);
  _exit(0);
}

/* A socket with a port of its own, which is that of the address from now on. */
static int bound(void) {
  int s = OK(socket(AF_INET, SOCK_STREAM, 0)), on = 1;
  OK(setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = 0;
  OK(bind(s, (void *)&address, sizeof address));
  socklen_t size = sizeof address;
  OK(getsockname(s, (void *)&address, &size));
  CHECK(address.sin_port != 0);
  return s;
}

static int refused(void) {
  int c = OK(socket(AF_INET, SOCK_STREAM, 0));
  int yes = connect(c, (void *)&address, sizeof address) == -1 && errno == ECONNREFUSED;
  OK(close(c));
  return yes;
}

int main(void) {
  int l = bound();
  socklen_t size;
  OK(listen(l, 5));
  for (int round = 0; round < 5; round++) {
    pid_t pid = OK(fork());
    if (pid == 0)
      client();
    struct sockaddr_in from;
    size = sizeof from;
    int s = OK(accept(l, (void *)&from, &size));
    CHECK(from.sin_family == AF_INET && ntohl(from.sin_addr.s_addr) == INADDR_LOOPBACK);
    long total = 0;
    ssize_t n;
    char buf[30000];
    while ((n = OK(read(s, buf, sizeof buf))) > 0)
      total += n;
    EXPECT(total, 2000000);
    EXPECT(write(s, "done", 4), 4);
    OK(close(s));
    EXPECT_EXIT(pid, 0);
  }
  OK(fcntl(l, F_SETFL, O_NONBLOCK));
  FAILS(accept(l, NULL, NULL), EAGAIN);
  OK(close(l));
  for (int tries = 0; !refused(); tries++) { /* somebody else may have the port by now */
    CHECK(tries < 10);
    l = bound();
    OK(listen(l, 5));
    OK(close(l));
  }
  bound(); /* nobody listens */
  CHECK(refused());
  int c = OK(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
  if (connect(c, (void *)&address, sizeof address) == -1 && errno == EINPROGRESS) {
    struct pollfd p = {c, POLLOUT, 0};
    EXPECT(poll(&p, 1, 50000), 1);
    int error;
    size = sizeof error;
    OK(getsockopt(c, SOL_SOCKET, SO_ERROR, &error, &size));
    EXPECT(error, ECONNREFUSED);
  }
  FAILS(socket(AF_INET, 77, 0), EINVAL);
  FAILS(send(0, "x", 1, 0), ENOTSOCK);
  return done();
}
