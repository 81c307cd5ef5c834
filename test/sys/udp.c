/* SPDX-License-Identifier: MIT */
/* UDP over loopback: datagrams, addresses, connect, non-blocking. */
#include "check.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

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
  return done();
}
