/* SPDX-License-Identifier: MIT */
/* Unix stream sockets: socketpair, names in the file system, backlog, shutdown, many clients. */
#include "check.h"
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

static struct sockaddr_un name = {.sun_family = AF_UNIX, .sun_path = "stream.sock"};

static void pair(void) {
  int s[2];
  char buf[20];
  OK(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
  pid_t pid = OK(fork());
  if (pid == 0) {
    OK(close(s[0]));
    EXPECT(read(s[1], buf, 20), 4);
    EXPECT(write(s[1], "pong!", 5), 5);
    OK(shutdown(s[1], SHUT_WR));
    EXPECT(recv(s[1], buf, 20, MSG_WAITALL), 3);
    _exit(0);
  }
  OK(close(s[1]));
  EXPECT(write(s[0], "ping", 4), 4);
  EXPECT(recv(s[0], buf, 20, MSG_PEEK), 5);
  EXPECT(read(s[0], buf, 20), 5);
  EXPECT(read(s[0], buf, 20), 0);
  EXPECT(write(s[0], "end", 3), 3);
  OK(close(s[0]));
  EXPECT_EXIT(pid, 0);
}

static void named(void) {
  int l = OK(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)), type;
  FAILS(connect(l, (void *)&name, sizeof name), ENOENT);
  OK(bind(l, (void *)&name, sizeof name));
  int again = OK(socket(AF_UNIX, SOCK_STREAM, 0));
  FAILS(bind(again, (void *)&name, sizeof name), EADDRINUSE);
  FAILS(connect(again, (void *)&name, sizeof name), ECONNREFUSED);
  OK(listen(l, 20));
  for (int i = 0; i < 20; i++)
    if (OK(fork()) == 0) {
      int c = OK(socket(AF_UNIX, SOCK_STREAM, 0)), got;
      OK(connect(c, (void *)&name, sizeof name));
      EXPECT(write(c, &i, sizeof i), sizeof i);
      EXPECT(read(c, &got, sizeof got), sizeof got);
      _exit(got == i * i ? 0 : 1);
    }
  for (int i = 0; i < 20; i++) {
    int c = OK(accept4(l, NULL, NULL, SOCK_CLOEXEC)), n;
    EXPECT(fcntl(c, F_GETFD), FD_CLOEXEC);
    EXPECT(read(c, &n, sizeof n), sizeof n);
    n *= n;
    EXPECT(write(c, &n, sizeof n), sizeof n);
    OK(close(c));
  }
  int status;
  while (wait(&status) > 0)
    EXPECT(status, 0);
  socklen_t size = sizeof type;
  OK(getsockopt(l, SOL_SOCKET, SO_TYPE, &type, &size));
  EXPECT(type, SOCK_STREAM);
  OK(unlink(name.sun_path));
  FAILS(connect(again, (void *)&name, sizeof name), ENOENT);
}

static int writable(int fd) {
  struct pollfd p = {fd, POLLOUT, 0};
  return OK(poll(&p, 1, 0));
}

/* Whatever the sizes, a stream that refuses to take more is not called writable. */
static void full(size_t piece) {
  static char data[300000];
  int s[2];
  long sum = 0, n;
  OK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, s));
  while ((n = write(s[0], data, piece)) > 0)
    sum += n;
  EXPECT(errno, EAGAIN);
  CHECK(sum > 1000);
  EXPECT(writable(s[0]), 0);
  FAILS(write(s[0], data, 1), EAGAIN);
  while ((n = read(s[1], data, sizeof data)) > 0)
    sum -= n;
  EXPECT(sum, 0);
  EXPECT(writable(s[0]), 1);
  CHECK(write(s[0], data, piece) > 0);
  OK(close(s[0]) | close(s[1]));
}

int main(void) {
  full(sizeof(int));
  full(5000);
  full(300000);
  pair();
  named();
  return done();
}
