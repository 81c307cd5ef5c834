/* SPDX-License-Identifier: MIT */
/* Unix datagram sockets keep message boundaries and truncate; names of the abstract kind. */
#include "check.h"
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>

int main(void) {
  int s[2];
  char buf[20];
  OK(socketpair(AF_UNIX, SOCK_DGRAM, 0, s));
  EXPECT(send(s[0], "one", 3, 0), 3);
  EXPECT(send(s[0], "second", 6, 0), 6);
  EXPECT(recv(s[1], buf, 20, 0), 3);
  EXPECT(recv(s[1], buf, 2, 0), 2); /* the rest of it is lost */
  FAILS(recv(s[1], buf, 20, MSG_DONTWAIT), EAGAIN);
  struct sockaddr_un name = {.sun_family = AF_UNIX};
  int n = sprintf(name.sun_path + 1, "ufork-test-%d", getpid());
  socklen_t length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n);
  int server = OK(socket(AF_UNIX, SOCK_DGRAM, 0)), client = OK(socket(AF_UNIX, SOCK_DGRAM, 0));
  OK(bind(server, (void *)&name, length));
  IN_CHILD { EXPECT(sendto(client, "hello", 5, 0, (void *)&name, length), 5); }
  END_CHILD(0);
  EXPECT(recv(server, buf, 20, 0), 5);
  OK(connect(client, (void *)&name, length));
  EXPECT(write(client, "x", 1), 1);
  EXPECT(read(server, buf, 20), 1);
  FAILS(sendto(server, "x", 1, 0, (void *)&(struct sockaddr_un){AF_UNIX, "/no/such"}, 20), ENOENT);
  return done();
}
