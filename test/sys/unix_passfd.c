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

/* The macro of musl compares a size with a difference. */
static struct cmsghdr *next_of(struct msghdr *m, struct cmsghdr *h) {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wsign-compare"
  return CMSG_NXTHDR(m, h);
#pragma GCC diagnostic pop
}

/* Two messages of one call, which may arrive as one; the second being wrong, nothing is sent. */
static void two_messages(int s[2]) {
  int fds[2] = {0, 1}, got[4] = {-1, -1, -1, -1}, n = 0;
  char space[2 * CMSG_SPACE(sizeof(int))] __attribute__((aligned(8))) = {0}, room[200];
  char byte = 'x';
  struct iovec v = {&byte, 1};
  struct msghdr m = {
      .msg_iov = &v, .msg_iovlen = 1, .msg_control = space, .msg_controllen = sizeof space};
  struct cmsghdr *h = CMSG_FIRSTHDR(&m);
  OK(pipe(fds));
  for (int i = 0; i < 2; i++, h = next_of(&m, h)) {
    h->cmsg_level = SOL_SOCKET, h->cmsg_type = SCM_RIGHTS, h->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(h), &fds[i], sizeof(int));
    if (i == 0) { /* for CMSG_NXTHDR */
      struct cmsghdr *next = (void *)(space + CMSG_SPACE(sizeof(int)));
      next->cmsg_len = CMSG_LEN(sizeof(int));
    }
  }
  EXPECT(sendmsg(s[1], &m, 0), 1);
  memset(space + CMSG_SPACE(sizeof(int)) + CMSG_LEN(0), 0x7f, sizeof(int));
  FAILS(sendmsg(s[1], &m, 0), EBADF);
  m.msg_control = room, m.msg_controllen = sizeof room;
  EXPECT(recvmsg(s[0], &m, MSG_DONTWAIT), 1);
  for (h = CMSG_FIRSTHDR(&m); h; h = next_of(&m, h)) {
    int k = (int)((h->cmsg_len - CMSG_LEN(0)) / sizeof(int));
    CHECK(h->cmsg_type == SCM_RIGHTS && n + k <= 4);
    memcpy(got + n, CMSG_DATA(h), (size_t)k * sizeof(int));
    n += k;
  }
  EXPECT(n, 2);
  EXPECT(write(got[1], "through", 7), 7);
  EXPECT(read(fds[0], room, 20), 7);
  OK(close(fds[0]) | close(fds[1]) | close(got[1]));
  EXPECT(read(got[0], room, 20), 0); /* no writer is left: nothing kept a reference */
  OK(close(got[0]));
  FAILS(recv(s[0], room, 1, MSG_DONTWAIT), EAGAIN);
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
  two_messages(s);
  return done();
}
