/* SPDX-License-Identifier: MIT */
/*
 * Processes share a listening socket by EPOLLEXCLUSIVE. Each takes one connection and then does not
 * look again for a long time: the connections that came at the same moment are for the others, and
 * none of them waits for a process that is busy.
 */
/* test: timeout=60 */
#include "check.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/socket.h>

enum { WORKERS = 3, ROUNDS = 40 };

static struct sockaddr_in address = {.sin_family = AF_INET};

static void work(int l, int ready, int said, int go_on) {
  int ep = OK(epoll_create1(0)), s;
  struct epoll_event e = {.events = EPOLLIN | EPOLLEXCLUSIVE};
  OK(epoll_ctl(ep, EPOLL_CTL_ADD, l, &e));
  for (int round = 0; round < ROUNDS; round++) {
    tell(ready);
    do {
      EXPECT(epoll_wait(ep, &e, 1, -1), 1);
      s = accept(l, NULL, NULL);
      CHECK(s >= 0 || errno == EAGAIN);
    } while (s < 0);
    tell(said);
    await(go_on); /* "busy" */
    OK(close(s));
  }
  _exit(0);
}

int main(void) {
  int l = OK(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
  int ready[2], said[2], go_on[2];
  socklen_t size = sizeof address;
  pid_t workers[WORKERS];
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  OK(bind(l, (void *)&address, sizeof address));
  OK(getsockname(l, (void *)&address, &size));
  OK(listen(l, 16));
  OK(pipe(ready));
  OK(pipe(said));
  OK(pipe(go_on));
  for (int i = 0; i < WORKERS; i++) {
    workers[i] = OK(fork());
    if (workers[i] == 0)
      work(l, ready[1], said[1], go_on[0]);
  }
  for (int round = 0; round < ROUNDS; round++) {
    int c[WORKERS];
    for (int i = 0; i < WORKERS; i++)
      await(ready[0]);
    if (round % 2)
      sleep_ms(2); /* all of them sleep */
    for (int i = 0; i < WORKERS; i++) {
      c[i] = OK(socket(AF_INET, SOCK_STREAM, 0));
      OK(connect(c[i], (void *)&address, sizeof address));
    }
    for (int i = 0; i < WORKERS; i++)
      await(said[0]);
    for (int i = 0; i < WORKERS; i++)
      tell(go_on[1]);
    for (int i = 0; i < WORKERS; i++)
      OK(close(c[i]));
  }
  for (int i = 0; i < WORKERS; i++)
    EXPECT_EXIT(workers[i], 0);
  return done();
}
