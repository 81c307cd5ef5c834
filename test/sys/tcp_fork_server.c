/* SPDX-License-Identifier: MIT */
/* A server that forks per connection, with clients in other processes, driven by epoll. */
/* test: timeout=120 */
#include "check.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/socket.h>

enum { CLIENTS = 40 };

static struct sockaddr_in address = {.sin_family = AF_INET};

static void serve(int s) {
  char buf[1000];
  ssize_t n;
  while ((n = OK(read(s, buf, sizeof buf))) > 0)
    for (ssize_t at = 0; at < n;)
      at += OK(write(s, buf + at, (size_t)(n - at)));
  _exit(0);
}

static void client(int number) {
  int c = OK(socket(AF_INET, SOCK_STREAM, 0));
  OK(connect(c, (void *)&address, sizeof address));
  for (int i = 0; i < 50; i++) {
    int out[2] = {number, i}, in[2];
    EXPECT(write(c, out, sizeof out), sizeof out);
    EXPECT(recv(c, in, sizeof in, MSG_WAITALL), sizeof in);
    CHECK(in[0] == number && in[1] == i);
  }
  _exit(0);
}

int main(void) {
  int l = OK(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  OK(bind(l, (void *)&address, sizeof address));
  socklen_t size = sizeof address;
  OK(getsockname(l, (void *)&address, &size));
  OK(listen(l, 128));
  for (int i = 0; i < CLIENTS; i++)
    if (OK(fork()) == 0)
      client(i);
  int ep = OK(epoll_create1(0));
  struct epoll_event e = {.events = EPOLLIN};
  OK(epoll_ctl(ep, EPOLL_CTL_ADD, l, &e));
  for (int accepted = 0; accepted < CLIENTS;) {
    EXPECT(epoll_wait(ep, &e, 1, 100000), 1);
    int s;
    while ((s = accept(l, NULL, NULL)) >= 0) {
      accepted++;
      if (OK(fork()) == 0)
        serve(s);
      OK(close(s));
    }
    EXPECT(errno, EAGAIN);
  }
  int status, n = 0;
  while (wait(&status) > 0) {
    EXPECT(status, 0);
    n++;
  }
  EXPECT(n, 2 * CLIENTS);
  return done();
}
