/* SPDX-License-Identifier: MIT */
/* poll and select on pipes: readiness, hang-up, time-outs, bad descriptors, wake-up by a child. */
#include "check.h"
#include <poll.h>
#include <sys/select.h>

int main(void) {
  int p[2];
  OK(pipe(p));
  struct pollfd f[3] = {{p[0], POLLIN, 0}, {p[1], POLLOUT, 0}, {-5, POLLIN, 7}};
  EXPECT(poll(f, 3, 0), 1);
  CHECK(f[0].revents == 0 && f[1].revents == POLLOUT && f[2].revents == 0);
  long start = now_ms();
  EXPECT(poll(f, 1, 40), 0);
  CHECK(now_ms() - start >= 39 && now_ms() - start < 40000);
  pid_t pid = OK(fork());
  if (pid == 0) {
    sleep_ms(30);
    tell(p[1]);
    _exit(0);
  }
  start = now_ms();
  EXPECT(poll(f, 1, 100000), 1);
  CHECK(f[0].revents == POLLIN && now_ms() - start < 50000);
  EXPECT_EXIT(pid, 0);
  struct timeval tv = {0, 0};
  fd_set in, out;
  FD_ZERO(&in);
  FD_ZERO(&out);
  FD_SET(p[0], &in);
  FD_SET(p[1], &out);
  EXPECT(select(p[1] + 1, &in, &out, NULL, &tv), 2);
  CHECK(FD_ISSET(p[0], &in) && FD_ISSET(p[1], &out));
  await(p[0]);
  FD_ZERO(&in);
  FD_SET(p[0], &in);
  tv.tv_usec = 20000;
  EXPECT(select(p[0] + 1, &in, NULL, NULL, &tv), 0);
  CHECK(!FD_ISSET(p[0], &in));
  OK(close(p[1]));
  EXPECT(poll(f, 1, -1), 1);
  CHECK(f[0].revents & POLLHUP);
  struct pollfd bad = {50, POLLIN, 0};
  EXPECT(poll(&bad, 1, -1), 1);
  EXPECT(bad.revents, POLLNVAL);
  FD_ZERO(&in);
  FD_SET(50, &in);
  FAILS(select(51, &in, NULL, NULL, &tv), EBADF);
  OK(pipe(p));
  OK(close(p[0]));
  struct pollfd broken = {p[1], POLLOUT, 0};
  EXPECT(poll(&broken, 1, 0), 1);
  CHECK(broken.revents & POLLERR);
  int file = OK(open("/dev/null", O_RDWR));
  struct pollfd always = {file, POLLIN | POLLOUT, 0};
  EXPECT(poll(&always, 1, -1), 1);
  EXPECT(always.revents, POLLIN | POLLOUT);
  return done();
}
