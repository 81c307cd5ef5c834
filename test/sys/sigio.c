/* SPDX-License-Identifier: MIT */
/* Signal-driven I/O: SIGIO goes to the owner of a descriptor when something arrives, and no longer.
 */
#include "check.h"
#include <sys/ioctl.h>
#include <sys/socket.h>

static volatile sig_atomic_t came;
static void on_sigio(int sig) {
  (void)sig;
  came++;
}

static void wait_io(const sigset_t *none) {
  for (int before = came; came == before;)
    sigsuspend(none);
}

int main(void) {
  sigset_t io, none;
  sigemptyset(&none);
  sigemptyset(&io);
  sigaddset(&io, SIGIO);
  OK(sigprocmask(SIG_BLOCK, &io, NULL));
  struct sigaction sa = {.sa_handler = on_sigio};
  OK(sigaction(SIGIO, &sa, NULL));

  int s[2], on = 1, off = 0;
  OK(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
  EXPECT(fcntl(s[0], F_GETOWN), 0);
  OK(fcntl(s[0], F_SETOWN, getpid()));
  EXPECT(fcntl(s[0], F_GETOWN), getpid());
  OK(ioctl(s[0], FIOASYNC, &on));
  CHECK(fcntl(s[0], F_GETFL) & O_ASYNC);
  OK(write(s[1], "x", 1));
  wait_io(&none);
  char c;
  EXPECT(read(s[0], &c, 1), 1);

  /* Another process writes; the flag belongs to the open file, the owner stays the parent. */
  int before = came;
  pid_t pid = OK(fork());
  if (pid == 0) {
    OK(write(s[1], "y", 1));
    _exit(0);
  }
  while (came == before)
    sigsuspend(&none);
  EXPECT(wait_for(pid), 0);
  EXPECT(read(s[0], &c, 1), 1);

  /* Switched off, nothing comes. */
  OK(ioctl(s[0], FIOASYNC, &off));
  CHECK(!(fcntl(s[0], F_GETFL) & O_ASYNC));
  sigset_t pending;
  OK(sigtimedwait(&io, NULL, &(struct timespec){0, 20000000}) >= 0 || errno == EAGAIN ? 0 : -1);
  OK(write(s[1], "z", 1));
  usleep(20000);
  OK(sigpending(&pending));
  CHECK(!sigismember(&pending, SIGIO));

  /* fcntl does the same, for a pipe and a process group; a file on disk has nothing to tell. */
  int p[2];
  OK(pipe(p));
  OK(fcntl(p[0], F_SETOWN, -getpgrp()));
  EXPECT(fcntl(p[0], F_GETOWN), -getpgrp());
  OK(fcntl(p[0], F_SETFL, O_ASYNC | O_NONBLOCK));
  OK(write(p[1], "x", 1));
  wait_io(&none);
  FAILS(fcntl(p[0], F_SETOWN, 5000000), ESRCH);
  FAILS(ioctl(p[0], FIOASYNC, (void *)8), EFAULT);
  OK(close(p[0]));
  OK(close(p[1]));
  return done();
}
