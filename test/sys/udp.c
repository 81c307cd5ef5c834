/* SPDX-License-Identifier: MIT */
/* UDP over loopback: datagrams, addresses, connect, non-blocking. */
#include "check.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

/* c is connected to server. */
static void pieces(int c, int server) {
  char text[100], back[100], one[1];
  struct iovec v[100], w[100];
  for (int i = 0; i < 100; i++) {
    text[i] = (char)i;
    v[i] = (struct iovec){text + i, 1};
    w[i] = (struct iovec){back + i, 1};
  }
  struct msghdr out = {.msg_iov = v, .msg_iovlen = 100}, in = {.msg_iov = w, .msg_iovlen = 100};
  EXPECT(sendmsg(c, &out, 0), 100);
  EXPECT(recvmsg(server, &in, 0), 100);
  CHECK(memcmp(text, back, 100) == 0);
  v[50].iov_base = (void *)1; /* nothing is sent */
  FAILS(sendmsg(c, &out, 0), EFAULT);
  FAILS(recv(server, back, 100, MSG_DONTWAIT), EAGAIN);
  EXPECT(send(c, "", 0, 0), 0);
  EXPECT(recv(server, back, 100, 0), 0);
  EXPECT(send(c, text, 100, 0), 100);
  EXPECT(recv(server, one, 1, MSG_TRUNC | MSG_PEEK), 100);
  in.msg_iovlen = 7;
  EXPECT(recvmsg(server, &in, 0), 7);
  CHECK(in.msg_flags & MSG_TRUNC);
  EXPECT(send(c, text, 100, 0), 100);
  FAILS(recv(server, (void *)1, 100, 0), EFAULT); /* and it is gone */
  FAILS(recv(server, back, 100, MSG_DONTWAIT), EAGAIN);
}

int main(void) {
  struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)}, from;
  socklen_t size = sizeof a;
  char buf[2000];
  int server = OK(socket(AF_INET, SOCK_DGRAM, 0)), c = OK(socket(AF_INET, SOCK_DGRAM, 0));
  OK(bind(server, (void *)&a, sizeof a));
  OK(getsockname(server, (void *)&a, &size));
  IN_CHILD {
    for (int i = 1; i <= 10; i++) {
      memset(buf, i, sizeof buf);
      EXPECT(sendto(c, buf, (size_t)i * 100, 0, (void *)&a, sizeof a), i * 100);
    }
  }
  END_CHILD(0);
  for (int i = 1; i <= 10; i++) {
    size = sizeof from;
    EXPECT(recvfrom(server, buf, sizeof buf, 0, (void *)&from, &size), i * 100);
    CHECK(buf[0] == i && buf[i * 100 - 1] == i && from.sin_family == AF_INET);
  }
  EXPECT(sendto(server, "reply", 5, 0, (void *)&from, size), 5);
  EXPECT(recv(c, buf, sizeof buf, 0), 5);
  FAILS(recv(c, buf, sizeof buf, MSG_DONTWAIT), EAGAIN);
  OK(connect(c, (void *)&a, sizeof a));
  EXPECT(write(c, "connected", 9), 9);
  EXPECT(read(server, buf, 4), 4);
  pieces(c, server);
  return done();
}
