/* SPDX-License-Identifier: MIT */
#include "plat/hosted/test/tcp.h"
#include <arpa/inet.h>
#include <linux/tcp.h>
#include <sys/socket.h>

int tcp_listen(void) {
  struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  int l = socket(AF_INET, SOCK_STREAM, 0);
  return l >= 0 && bind(l, (void *)&a, sizeof a) == 0 && listen(l, 5) == 0 ? l : -1;
}

int tcp_connect(int listener) {
  struct sockaddr_in a;
  socklen_t size = sizeof a;
  int c = socket(AF_INET, SOCK_STREAM, 0);
  if (getsockname(listener, (void *)&a, &size) < 0)
    return -1;
  return c >= 0 && connect(c, (void *)&a, sizeof a) == 0 ? c : -1;
}

int tcp_accept(int listener) {
  int s = accept(listener, NULL, NULL), on = 1;
  return s >= 0 && setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) == 0 ? s : -1;
}

int tcp_send(int fd, size_t n, int more) {
  static const char bytes[10000];
  return n <= sizeof bytes && send(fd, bytes, n, more ? MSG_MORE : 0) == (ssize_t)n;
}

int tcp_receive(int fd, size_t n) {
  char buf[10000];
  return n <= sizeof buf && recv(fd, buf, n, MSG_WAITALL) == (ssize_t)n;
}

int tcp_at_end(int fd) {
  char c;
  return recv(fd, &c, 1, 0) == 0;
}

int tcp_unsent(int fd) {
  struct tcp_info info;
  socklen_t size = sizeof info;
  if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) < 0)
    return -1;
  return (int)info.tcpi_notsent_bytes;
}

int tcp_corked(int fd) {
  int on;
  socklen_t size = sizeof on;
  return getsockopt(fd, IPPROTO_TCP, TCP_CORK, &on, &size) < 0 ? -1 : on;
}
