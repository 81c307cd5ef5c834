/* SPDX-License-Identifier: MIT */
/* Files under way in sockets are limited to RLIMIT_NOFILE for a user; credentials of the peer and
   of the sender. */
#include "check.h"
#include <sys/resource.h>
#include <sys/socket.h>

static int send_fd(int sock, int fd, int flags) {
  union {
    struct cmsghdr head;
    char space[CMSG_SPACE(sizeof(int))];
  } c = {0};
  struct iovec v = {"f", 1};
  struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = &c, .msg_controllen = sizeof c};
  struct cmsghdr *h = CMSG_FIRSTHDR(&m);
  h->cmsg_level = SOL_SOCKET, h->cmsg_type = SCM_RIGHTS, h->cmsg_len = CMSG_LEN(sizeof fd);
  memcpy(CMSG_DATA(h), &fd, sizeof fd);
  return (int)sendmsg(sock, &m, flags);
}

/* As a user of our own, so that nobody else's files count. */
static void limited(void) {
  enum { LIMIT = 40 };
  struct rlimit l = {LIMIT, LIMIT};
  int s[2], sent = 0;
  OK(setgid(54321));
  OK(setuid(54321));
  OK(setrlimit(RLIMIT_NOFILE, &l));
  OK(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
  while (sent < 2 * LIMIT && send_fd(s[1], 0, MSG_DONTWAIT) == 1)
    sent++;
  EXPECT(errno, ETOOMANYREFS);
  EXPECT(sent, LIMIT + 1);
  EXPECT(write(s[1], "x", 1), 1); /* data alone may */
  OK(close(s[0]));
  OK(close(s[1]));
  OK(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
  while (send_fd(s[1], 0, 0) != 1) /* they are given back */
    sleep_ms(10);
}

/* Each socket carries the one before it: the last close frees them all. */
static void chain(void) {
  int before[2], next[2];
  OK(socketpair(AF_UNIX, SOCK_STREAM, 0, before));
  for (int k = 0; k < 5000; k++) {
    OK(socketpair(AF_UNIX, SOCK_STREAM, 0, next));
    if (send_fd(next[1], before[0], 0) != 1) { /* older Linux: not so deep */
      EXPECT(errno, ETOOMANYREFS);
      break;
    }
    OK(close(before[0]));
    OK(close(before[1]));
    memcpy(before, next, sizeof next);
  }
  OK(close(before[1]));
  OK(close(before[0]));
}

static void credentials(void) {
  struct ucred u;
  socklen_t len = sizeof u;
  int s[2], on = 1;
  char space[200] __attribute__((aligned(8))), byte;
  struct iovec v = {&byte, 1};
  struct msghdr m = {
      .msg_iov = &v, .msg_iovlen = 1, .msg_control = space, .msg_controllen = sizeof space};
  OK(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
  OK(getsockopt(s[0], SOL_SOCKET, SO_PEERCRED, &u, &len));
  CHECK(u.pid == getpid() && u.uid == geteuid() && u.gid == getegid());
  OK(setsockopt(s[0], SOL_SOCKET, SO_PASSCRED, &on, sizeof on));
  pid_t pid = OK(fork());
  if (pid == 0)
    _exit(write(s[1], "x", 1) != 1);
  EXPECT(recvmsg(s[0], &m, 0), 1);
  struct cmsghdr *h = CMSG_FIRSTHDR(&m);
  CHECK(h && h->cmsg_level == SOL_SOCKET && h->cmsg_type == SCM_CREDENTIALS);
  memcpy(&u, CMSG_DATA(h), sizeof u);
  CHECK(u.pid == pid && u.uid == getuid() && u.gid == getgid());
  EXPECT_EXIT(pid, 0);
  if (getuid() != 0)
    return;
  IN_CHILD { /* nobody claims to be another */
    OK(setgid(54321));
    OK(setuid(54321));
    memset(space, 0, sizeof space);
    m.msg_controllen = CMSG_SPACE(sizeof u);
    h = CMSG_FIRSTHDR(&m);
    h->cmsg_level = SOL_SOCKET, h->cmsg_type = SCM_CREDENTIALS, h->cmsg_len = CMSG_LEN(sizeof u);
    u = (struct ucred){getpid(), 0, 54321};
    memcpy(CMSG_DATA(h), &u, sizeof u);
    FAILS(sendmsg(s[1], &m, 0), EPERM);
    u = (struct ucred){getppid(), 54321, 54321};
    memcpy(CMSG_DATA(h), &u, sizeof u);
    FAILS(sendmsg(s[1], &m, 0), EPERM);
    u = (struct ucred){getpid(), 54321, 54321};
    memcpy(CMSG_DATA(h), &u, sizeof u);
    EXPECT(sendmsg(s[1], &m, 0), 1);
  }
  END_CHILD(0);
}

int main(void) {
  credentials();
  chain();
  if (getuid() == 0)
    IN_CHILD { limited(); }
  END_CHILD(0);
  return done();
}
