/* SPDX-License-Identifier: MIT */
/* With SA_RESTART an interrupted read, write or wait goes on; without it, EINTR. */
#include "check.h"

static volatile int handled;
static void handler(int sig) { (void)sig, handled++; }

/* A child that signals us once we sleep, and writes a byte when we sleep again. */
static pid_t disturber(int fd) {
  pid_t parent = getpid();
  pid_t pid = OK(fork());
  if (pid == 0) {
    until_asleep(parent);
    OK(kill(parent, SIGUSR1));
    until_asleep(parent);
    tell(fd);
    _exit(0);
  }
  return pid;
}

int main(void) {
  int p[2];
  char c;
  OK(pipe(p));
  handle(SIGUSR1, handler, SA_RESTART);
  pid_t pid = disturber(p[1]);
  EXPECT(read(p[0], &c, 1), 1);
  EXPECT(handled, 1);
  EXPECT_EXIT(pid, 0);
  pid = disturber(p[1]);
  EXPECT_EXIT(pid, 0); /* waitpid is restarted */
  EXPECT(handled, 2);
  await(p[0]);

  handle(SIGUSR1, handler, 0);
  pid = disturber(p[1]);
  FAILS(read(p[0], &c, 1), EINTR);
  EXPECT(handled, 3);
  EXPECT(read(p[0], &c, 1), 1);
  EXPECT_EXIT(pid, 0);
  pid = disturber(p[1]);
  FAILS(waitpid(pid, NULL, 0), EINTR);
  EXPECT_EXIT(pid, 0);
  await(p[0]);

  handle(SIGUSR1, handler, SA_RESTART); /* these are never restarted */
  pid = disturber(p[1]);
  struct timespec t = {10000, 0}, rest = {0, 0};
  FAILS(nanosleep(&t, &rest), EINTR);
  CHECK(rest.tv_sec >= 9000 && rest.tv_sec < 10000);
  EXPECT_EXIT(pid, 0);
  pid = disturber(p[1]);
  FAILS(pause(), EINTR);
  EXPECT_EXIT(pid, 0);
  return done();
}
