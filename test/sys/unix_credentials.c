/* SPDX-License-Identifier: MIT */
/* Who sent it: SCM_CREDENTIALS with and without being asked for, forged ones, of a child, on each
   type of socket, beside descriptors; SO_PEERCRED of pairs and connections. */
#include "check.h"
#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>

struct control {
  char space[CMSG_SPACE(sizeof(struct ucred)) + CMSG_SPACE(2 * sizeof(int))]
      __attribute__((aligned(8)));
};

static void pass(int fd, int on) {
  OK(setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof on));
  socklen_t len = sizeof on;
  int got;
  OK(getsockopt(fd, SOL_SOCKET, SO_PASSCRED, &got, &len));
  EXPECT(got, on);
}

static ssize_t send_as(int fd, const struct ucred *who) {
  struct control c = {{0}};
  struct iovec v = {"c", 1};
  struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = &c};
  m.msg_controllen = CMSG_SPACE(sizeof *who);
  struct cmsghdr *h = CMSG_FIRSTHDR(&m);
  h->cmsg_level = SOL_SOCKET, h->cmsg_type = SCM_CREDENTIALS, h->cmsg_len = CMSG_LEN(sizeof *who);
  memcpy(CMSG_DATA(h), who, sizeof *who);
  return sendmsg(fd, &m, 0);
}

/* The credentials of the next message; false if it has none. */
static bool receive(int fd, struct ucred *who) {
  struct control c = {{0}};
  char byte;
  struct iovec v = {&byte, 1};
  struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = &c, .msg_controllen = sizeof c};
  EXPECT(recvmsg(fd, &m, 0), 1);
  struct cmsghdr *h = CMSG_FIRSTHDR(&m);
  if (!h)
    return false;
  EXPECT(h->cmsg_level, SOL_SOCKET);
  EXPECT(h->cmsg_type, SCM_CREDENTIALS);
  EXPECT(h->cmsg_len, CMSG_LEN(sizeof *who));
  memcpy(who, CMSG_DATA(h), sizeof *who);
  return true;
}

static void expect_me(const struct ucred *who, pid_t pid) {
  EXPECT(who->pid, pid);
  EXPECT(who->uid, geteuid());
  EXPECT(who->gid, getegid());
}

static void on_a_pair(int type) {
  int s[2];
  struct ucred who, mine = {getpid(), getuid(), getgid()}, other = {5000000, 0, 0};
  OK(socketpair(AF_UNIX, type, 0, s));
  EXPECT(send(s[0], "x", 1, 0), 1);
  CHECK(!receive(s[1], &who)); /* nobody asked */
  EXPECT(send_as(s[0], &mine), 1);
  CHECK(!receive(s[1], &who));
  pass(s[1], 1);
  EXPECT(send(s[0], "x", 1, 0), 1);
  CHECK(receive(s[1], &who)); /* the kernel fills it in */
  expect_me(&who, getpid());
  EXPECT(send_as(s[0], &mine), 1);
  CHECK(receive(s[1], &who));
  expect_me(&who, getpid());
  pid_t pid = OK(fork());
  if (pid == 0) {
    struct ucred parent = {getppid(), 0, 0};
    EXPECT(write(s[0], "x", 1), 1);
    if (geteuid() == 0) { /* root may say another uid */
      EXPECT(send_as(s[0], &(struct ucred){getpid(), 12, 13}), 1);
      OK(setgid(1000));
      OK(setuid(1000));
    }
    FAILS(send_as(s[0], &parent), EPERM); /* neither another process's nor another user's */
    FAILS(send_as(s[0], &(struct ucred){getpid(), 0, getgid()}), EPERM);
    FAILS(send_as(s[0], &(struct ucred){getpid(), getuid(), 0}), EPERM);
    _exit(0);
  }
  EXPECT_EXIT(pid, 0);
  CHECK(receive(s[1], &who)); /* after its end */
  expect_me(&who, pid);
  if (geteuid() == 0) {
    CHECK(receive(s[1], &who));
    CHECK(who.pid == pid && who.uid == 12 && who.gid == 13);
    FAILS(send_as(s[0], &other), ESRCH); /* no such process */
  }
  pass(s[1], 0);
  EXPECT(send(s[0], "x", 1, 0), 1);
  CHECK(!receive(s[1], &who));
  OK(close(s[0]));
  OK(close(s[1]));
}

/* Too little room for them is said. */
static void no_room(void) {
  int s[2];
  char byte, small[20] __attribute__((aligned(8)));
  struct iovec v = {&byte, 1};
  struct msghdr m = {
      .msg_iov = &v, .msg_iovlen = 1, .msg_control = small, .msg_controllen = sizeof small};
  OK(socketpair(AF_UNIX, SOCK_DGRAM, 0, s));
  pass(s[1], 1);
  EXPECT(send(s[0], "x", 1, 0), 1);
  EXPECT(recvmsg(s[1], &m, 0), 1);
  EXPECT(m.msg_flags & MSG_CTRUNC, MSG_CTRUNC);
  m.msg_controllen = 0;
  EXPECT(send(s[0], "x", 1, 0), 1);
  EXPECT(recvmsg(s[1], &m, 0), 1);
  EXPECT(m.msg_flags & MSG_CTRUNC, MSG_CTRUNC);
  struct control c = {{0}};
  m.msg_control = &c, m.msg_controllen = CMSG_SPACE(4);
  struct cmsghdr *h = CMSG_FIRSTHDR(&m);
  h->cmsg_level = SOL_SOCKET, h->cmsg_type = SCM_CREDENTIALS, h->cmsg_len = CMSG_LEN(4);
  FAILS(sendmsg(s[0], &m, 0), EINVAL); /* half of them */
  OK(close(s[0]));
  OK(close(s[1]));
}

/* SO_PEERCRED: who made the pair, or connected, or listened; not who uses it now. */
static void of_peers(void) {
  int s[2];
  struct ucred who;
  socklen_t len = sizeof who;
  pid_t me = getpid();
  OK(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
  IN_CHILD {
    OK(getsockopt(s[0], SOL_SOCKET, SO_PEERCRED, &who, &len));
    expect_me(&who, me);
  }
  END_CHILD(0);
  struct sockaddr_un a = {.sun_family = AF_UNIX};
  int n = sprintf(a.sun_path + 1, "ufork-cred-%d", (int)me);
  socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n);
  int l = OK(socket(AF_UNIX, SOCK_STREAM, 0));
  OK(bind(l, (void *)&a, size));
  OK(listen(l, 2));
  pid_t pid = OK(fork());
  if (pid == 0) {
    int c = OK(socket(AF_UNIX, SOCK_STREAM, 0));
    OK(getsockopt(c, SOL_SOCKET, SO_PEERCRED, &who, &len));
    EXPECT(who.pid, 0); /* nobody yet */
    OK(connect(c, (void *)&a, size));
    OK(getsockopt(c, SOL_SOCKET, SO_PEERCRED, &who, &len));
    expect_me(&who, me);
    EXPECT(read(c, &n, 1), 0);
    _exit(0);
  }
  int c = OK(accept(l, NULL, NULL));
  OK(getsockopt(c, SOL_SOCKET, SO_PEERCRED, &who, &len));
  expect_me(&who, pid);
  OK(close(c));
  EXPECT_EXIT(pid, 0);
}

int main(void) {
  on_a_pair(SOCK_STREAM);
  on_a_pair(SOCK_DGRAM);
  on_a_pair(SOCK_SEQPACKET);
  no_room();
  of_peers();
  return done();
}
