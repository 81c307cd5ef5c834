/* SPDX-License-Identifier: MIT */
/* test: timeout=120 */
/*
 * Servers are woken by their sockets while others compute without a pause, on one CPU, on all, and
 * on the CPU where a socket was made: nobody's readiness waits for a process that never asks.
 */
#include "check.h"
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#define ROUNDS 5
#define CLIENTS 3

static struct sockaddr_in address = {.sin_family = AF_INET};

/* Answers each byte with the next; computes for a moment first, where it was woken. */
static void serve(int l) {
  struct epoll_event ev = {.events = EPOLLIN, .data.fd = l};
  int ep = OK(epoll_create1(0)), open = 0, seen = 0;
  OK(epoll_ctl(ep, EPOLL_CTL_ADD, l, &ev));
  while (seen < CLIENTS || open > 0) {
    EXPECT(epoll_wait(ep, &ev, 1, -1), 1);
    unsigned char c;
    if (ev.data.fd == l) {
      ev.data.fd = OK(accept(l, NULL, NULL));
      OK(epoll_ctl(ep, EPOLL_CTL_ADD, ev.data.fd, &ev));
      open++, seen++;
    } else if (OK(read(ev.data.fd, &c, 1)) == 0) {
      OK(close(ev.data.fd));
      open--;
    } else {
      c++;
      EXPECT(write(ev.data.fd, &c, 1), 1);
    }
  }
  _exit(0);
}

static void client(void) {
  int s[CLIENTS];
  for (int i = 0; i < CLIENTS; i++) {
    s[i] = OK(socket(AF_INET, SOCK_STREAM, 0));
    OK(connect(s[i], (void *)&address, sizeof address));
  }
  for (int n = 0; n < ROUNDS; n++)
    for (int i = 0; i < CLIENTS; i++) {
      unsigned char c = (unsigned char)(n + i), answer;
      EXPECT(write(s[i], &c, 1), 1);
      EXPECT(read(s[i], &answer, 1), 1);
      EXPECT(answer, (unsigned char)(c + 1));
    }
  _exit(0);
}

static void round_with(int spinners) {
  int l = OK(socket(AF_INET, SOCK_STREAM, 0));
  pid_t busy[64], server, user;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = 0;
  OK(bind(l, (void *)&address, sizeof address));
  socklen_t size = sizeof address;
  OK(getsockname(l, (void *)&address, &size));
  OK(listen(l, 16));
  if ((server = OK(fork())) == 0)
    serve(l);
  for (int i = 0; i < spinners; i++)
    if ((busy[i] = OK(fork())) == 0)
      for (volatile unsigned long n = 0;; n++)
        ;
  if ((user = OK(fork())) == 0)
    client();
  EXPECT_EXIT(user, 0);
  EXPECT_EXIT(server, 0);
  for (int i = 0; i < spinners; i++) {
    OK(kill(busy[i], SIGKILL));
    EXPECT_SIGNAL(busy[i], SIGKILL);
  }
  OK(close(l));
}

int main(void) {
  long cpus = sysconf(_SC_NPROCESSORS_ONLN);
  int most = cpus > 8 ? 8 : (int)cpus;
  round_with(0);
  for (int i = 0; i < 2; i++)
    round_with(1);
  round_with(most);
  round_with(most + 1);
  puts("ok");
  return 0;
}
