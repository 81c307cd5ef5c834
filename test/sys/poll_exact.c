/* SPDX-License-Identifier: MIT */
/* After an accept or a receive has taken all there was, poll, select and epoll say so at once, and
   never again that a socket is readable that is not: the next call, a blocking one, would sleep. */
#include "check.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/socket.h>

static int ep;

static int readable(int fd, int timeout) {
  struct pollfd p = {fd, POLLIN, 0};
  return OK(poll(&p, 1, timeout));
}

/* By three calls, none of which may differ. */
static void expect_readable(int fd, int expected) {
  struct epoll_event e;
  struct timeval now = {0, 0};
  fd_set set;
  FD_ZERO(&set);
  FD_SET(fd, &set);
  EXPECT(readable(fd, expected ? 50000 : 0), expected);
  EXPECT(select(fd + 1, &set, NULL, NULL, &now), expected);
  EXPECT(epoll_wait(ep, &e, 1, 0), expected);
}

static void watch(int fd) {
  struct epoll_event e = {.events = EPOLLIN};
  OK(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e));
}

static void unwatch(int fd) { OK(epoll_ctl(ep, EPOLL_CTL_DEL, fd, NULL)); }

static int listener(int type, struct sockaddr_in *a) {
  socklen_t size = sizeof *a;
  int fd = OK(socket(AF_INET, type, 0));
  *a = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  OK(bind(fd, (void *)a, sizeof *a));
  OK(getsockname(fd, (void *)a, &size));
  return fd;
}

static int dial(const struct sockaddr_in *a) {
  int fd = OK(socket(AF_INET, SOCK_STREAM, 0));
  OK(connect(fd, (const void *)a, sizeof *a));
  return fd;
}

static void connections(void) {
  struct sockaddr_in a;
  int l = listener(SOCK_STREAM, &a);
  OK(listen(l, 10));
  watch(l);
  expect_readable(l, 0);
  for (int i = 0; i < 3; i++) {
    int first = dial(&a), second = dial(&a);
    expect_readable(l, 1);
    int served = OK(accept(l, NULL, NULL));
    expect_readable(l, 1);
    OK(close(OK(accept(l, NULL, NULL))));
    expect_readable(l, 0);
    unwatch(l);
    watch(served);
    /* As much as was asked for: there may or may not be more. */
    char buf[8];
    EXPECT(send(first, "12345678", 8, 0), 8);
    expect_readable(served, 1);
    EXPECT(recv(served, buf, 4, MSG_PEEK), 4);
    expect_readable(served, 1);
    EXPECT(recv(served, buf, 4, 0), 4);
    expect_readable(served, 1);
    EXPECT(read(served, buf, 4), 4);
    expect_readable(served, 0);
    OK(shutdown(first, SHUT_WR));
    expect_readable(served, 1);
    EXPECT(read(served, buf, 4), 0);
    expect_readable(served, 1);
    unwatch(served);
    watch(l);
    OK(close(first) | close(second) | close(served));
  }
  unwatch(l);
  OK(close(l));
}

static void datagrams(void) {
  struct sockaddr_in a;
  char buf[8];
  int s = listener(SOCK_DGRAM, &a), c = OK(socket(AF_INET, SOCK_DGRAM, 0));
  watch(s);
  expect_readable(s, 0);
  for (int i = 0; i < 3; i++) {
    EXPECT(sendto(c, "one", 3, 0, (void *)&a, sizeof a), 3);
    EXPECT(sendto(c, "", 0, 0, (void *)&a, sizeof a), 0);
    expect_readable(s, 1);
    EXPECT(recv(s, buf, sizeof buf, 0), 3);
    expect_readable(s, 1);
    EXPECT(recv(s, buf, sizeof buf, 0), 0);
    expect_readable(s, 0);
  }
  unwatch(s);
  OK(close(s) | close(c));
}

/* One thread asks all the time while another reads: neither may take an event from the other. */
static int stream[2];
static volatile int stop;

static void *ask(void *arg) {
  (void)arg;
  while (!stop)
    readable(stream[0], 0);
  return NULL;
}

static void two_readers(void) {
  struct sockaddr_in a;
  char buf[4];
  pthread_t t;
  int l = listener(SOCK_STREAM, &a);
  OK(listen(l, 1));
  stream[1] = dial(&a);
  stream[0] = OK(accept(l, NULL, NULL));
  EXPECT(pthread_create(&t, NULL, ask, NULL), 0);
  pid_t child = OK(fork());
  for (int i = 0; child == 0 && i < 2000; i++) {
    EXPECT(write(stream[1], "data", 4), 4);
    EXPECT(read(stream[1], buf, 4), 4);
  }
  if (child == 0)
    _exit(0);
  for (int i = 0; i < 2000; i++) {
    EXPECT(recv(stream[0], buf, 4, MSG_WAITALL), 4);
    EXPECT(write(stream[0], buf, 4), 4);
  }
  EXPECT_EXIT(child, 0);
  stop = 1;
  EXPECT(pthread_join(t, NULL), 0);
}

int main(void) {
  ep = OK(epoll_create1(0));
  connections();
  datagrams();
  two_readers();
  return done();
}
