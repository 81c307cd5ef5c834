/* SPDX-License-Identifier: MIT */
/* One epoll over 200 pipes whose writers are processes: every message is seen exactly once. */
#include "check.h"
#include <sys/epoll.h>

enum { PIPES = 200, MESSAGES = 10 };

int main(void) {
  int ep = OK(epoll_create1(0)), in[PIPES], seen[PIPES] = {0}, open_pipes = PIPES;
  for (int i = 0; i < PIPES; i++) {
    int p[2];
    OK(pipe(p));
    if (OK(fork()) == 0) {
      for (char m = 0; m < MESSAGES; m++) {
        EXPECT(write(p[1], &m, 1), 1);
        if (i % 3 == 0)
          sleep_ms(1);
      }
      _exit(0);
    }
    OK(close(p[1]));
    in[i] = p[0];
    struct epoll_event e = {.events = EPOLLIN, .data.fd = i};
    OK(epoll_ctl(ep, EPOLL_CTL_ADD, p[0], &e));
  }
  while (open_pipes > 0) {
    struct epoll_event got[16];
    int n = OK(epoll_wait(ep, got, 16, -1));
    for (int k = 0; k < n; k++) {
      int i = got[k].data.fd;
      char m;
      if (OK(read(in[i], &m, 1)) == 1) {
        EXPECT(m, seen[i]++);
      } else {
        EXPECT(seen[i], MESSAGES);
        OK(epoll_ctl(ep, EPOLL_CTL_DEL, in[i], NULL)); /* later children hold it too */
        OK(close(in[i]));
        open_pipes--;
      }
    }
  }
  int status;
  while (wait(&status) > 0)
    EXPECT(status, 0);
  return done();
}
