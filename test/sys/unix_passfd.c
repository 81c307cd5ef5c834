/* SPDX-License-Identifier: MIT */
/* A descriptor sent over a Unix socket is the same open file in the receiver. */
#include "check.h"
#include <sys/socket.h>

union control {
  struct cmsghdr head;
  char space[CMSG_SPACE(sizeof(int))];
};

static void send_fd(int sock, int fd) {
  union control c = {0};
  struct iovec v = {"f", 1};
  struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = &c, .msg_controllen = sizeof c};
  struct cmsghdr *h = CMSG_FIRSTHDR(&m);
  h->cmsg_level = SOL_SOCKET, h->cmsg_type = SCM_RIGHTS, h->cmsg_len = CMSG_LEN(sizeof fd);
  memcpy(CMSG_DATA(h), &fd, sizeof fd);
  EXPECT(sendmsg(sock, &m, 0), 1);
}

static int recv_fd(int sock) {
  union control c = {0};
  char byte;
  struct iovec v = {&byte, 1};
  struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = &c, .msg_controllen = sizeof c};
  EXPECT(recvmsg(sock, &m, 0), 1);
  struct cmsghdr *h = CMSG_FIRSTHDR(&m);
  CHECK(h && h->cmsg_type == SCM_RIGHTS);
  int fd;
  memcpy(&fd, CMSG_DATA(h), sizeof fd);
  return fd;
}

int main(void) {
  int s[2];
  OK(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
  IN_CHILD {
    int fd = OK(open("passed.tmp", O_RDWR | O_CREAT | O_TRUNC, 0600));
    OK(unlink("passed.tmp"));
    EXPECT(write(fd, "content", 7), 7);
    OK(lseek(fd, 3, SEEK_SET));
    send_fd(s[1], fd);
  }
  END_CHILD(0);
  int fd = recv_fd(s[0]);
  char buf[10];
  EXPECT(read(fd, buf, 10), 4);
  CHECK(!memcmp(buf, "tent", 4));
  return done();
}
