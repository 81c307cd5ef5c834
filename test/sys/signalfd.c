/* SPDX-License-Identifier: MIT */
/* signalfd: blocked signals are read, with their details; a new mask; poll, epoll; readers in a
   fork see their own signals. */
#include "check.h"
#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>

static sigset_t set_of(int a, int b) {
  sigset_t s;
  sigemptyset(&s);
  sigaddset(&s, a);
  if (b)
    sigaddset(&s, b);
  return s;
}

static void arguments(void) {
  sigset_t s = set_of(SIGUSR1, 0);
  uint64_t raw = 1u << (SIGUSR1 - 1);
  FAILS(signalfd(-1, &s, 0x4), EINVAL);
  FAILS(signalfd(-2, &s, 0), EBADF);
  FAILS(signalfd(77, &s, 0), EBADF);
  int null = OK(open("/dev/null", O_RDWR));
  FAILS(signalfd(null, &s, 0), EINVAL);
  FAILS(syscall(SYS_signalfd4, -1, &raw, 7, 0), EINVAL);
  FAILS(syscall(SYS_signalfd4, -1, NULL, 8, 0), EFAULT);
  int fd = OK(signalfd(-1, &s, SFD_CLOEXEC | SFD_NONBLOCK));
  EXPECT(OK(fcntl(fd, F_GETFD)), FD_CLOEXEC);
  CHECK(OK(fcntl(fd, F_GETFL)) & O_NONBLOCK);
  FAILS(write(fd, &raw, 8), EINVAL);
  OK(close(fd));
  fd = OK((int)syscall(SYS_signalfd, -1, &raw, 8));
  EXPECT(OK(fcntl(fd, F_GETFD)), 0);
  OK(close(fd));
  OK(close(null));
}

static void details(int fd) {
  struct signalfd_siginfo i[4];
  FAILS(read(fd, i, sizeof *i), EAGAIN);
  FAILS(read(fd, i, sizeof *i - 1), EINVAL);
  union sigval v = {.sival_ptr = (void *)0x12345678};
  OK(sigqueue(getpid(), SIGRTMIN, v));
  v.sival_int = 7;
  OK(sigqueue(getpid(), SIGRTMIN, v));
  OK(kill(getpid(), SIGUSR1));
  OK(kill(getpid(), SIGUSR1));
  EXPECT(read(fd, i, sizeof i), 3 * sizeof *i);
  EXPECT(i[0].ssi_signo, SIGUSR1);
  EXPECT(i[0].ssi_code, SI_USER);
  EXPECT(i[0].ssi_pid, getpid());
  EXPECT(i[0].ssi_uid, getuid());
  EXPECT(i[1].ssi_signo, SIGRTMIN);
  EXPECT(i[1].ssi_code, SI_QUEUE);
  EXPECT(i[1].ssi_ptr, 0x12345678);
  EXPECT(i[1].ssi_int, 0x12345678);
  EXPECT(i[2].ssi_int, 7);
  FAILS(read(fd, i, sizeof *i), EAGAIN);
  pid_t pid = OK(fork());
  if (pid == 0)
    _exit(5);
  struct pollfd p = {fd, POLLIN, 0};
  EXPECT(poll(&p, 1, 50000), 1);
  EXPECT(p.revents, POLLIN);
  EXPECT(read(fd, i, sizeof i), sizeof *i);
  EXPECT(i[0].ssi_signo, SIGCHLD);
  EXPECT(i[0].ssi_code, CLD_EXITED);
  EXPECT(i[0].ssi_pid, pid);
  EXPECT(i[0].ssi_status, 5);
  EXPECT_EXIT(pid, 5);
  OK(raise(SIGUSR1)); /* directed at the thread */
  EXPECT(read(fd, i, sizeof i), sizeof *i);
  EXPECT(i[0].ssi_code, SI_TKILL);
}

static void blocking_read(void) {
  sigset_t s = set_of(SIGUSR2, 0);
  struct signalfd_siginfo i;
  int fd = OK(signalfd(-1, &s, 0));
  pid_t me = getpid(), pid = OK(fork());
  if (pid == 0) {
    sleep_ms(30);
    _exit(kill(me, SIGUSR2) != 0);
  }
  EXPECT(read(fd, &i, sizeof i), sizeof i);
  EXPECT(i.ssi_signo, SIGUSR2);
  EXPECT(i.ssi_pid, pid);
  EXPECT_EXIT(pid, 0);
  /* A changed mask counts from now on. */
  s = set_of(SIGUSR1, 0);
  EXPECT(signalfd(fd, &s, 0), fd);
  OK(fcntl(fd, F_SETFL, O_NONBLOCK));
  OK(kill(me, SIGUSR2));
  FAILS(read(fd, &i, sizeof i), EAGAIN);
  s = set_of(SIGUSR2, SIGKILL);
  EXPECT(signalfd(fd, &s, 0), fd);
  EXPECT(read(fd, &i, sizeof i), sizeof i);
  OK(close(fd));
}

/* The same descriptor shows each process what is pending for itself. */
static void across_fork(int fd) {
  struct signalfd_siginfo i;
  OK(kill(getpid(), SIGUSR1));
  IN_CHILD {
    FAILS(read(fd, &i, sizeof i), EAGAIN);
    OK(kill(getpid(), SIGUSR2));
    EXPECT(read(fd, &i, sizeof i), sizeof i);
    EXPECT(i.ssi_signo, SIGUSR2);
  }
  END_CHILD(0);
  EXPECT(read(fd, &i, sizeof i), sizeof i);
  EXPECT(i.ssi_signo, SIGUSR1);
  while (read(fd, &i, sizeof i) > 0) /* SIGCHLD */
    ;
}

static void with_epoll(int fd) {
  struct epoll_event e = {.events = EPOLLIN | EPOLLET, .data.u32 = 3};
  struct signalfd_siginfo i;
  int ep = OK(epoll_create1(0));
  OK(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e));
  EXPECT(epoll_wait(ep, &e, 1, 0), 0);
  OK(kill(getpid(), SIGUSR1));
  EXPECT(epoll_wait(ep, &e, 1, 50000), 1);
  EXPECT(e.data.u32, 3);
  EXPECT(read(fd, &i, sizeof i), sizeof i);
  EXPECT(epoll_wait(ep, &e, 1, 0), 0);
  /* The process that registered the watch ends before the epoll does. */
  IN_CHILD {
    int own = OK(epoll_create1(0));
    e.events = EPOLLIN;
    OK(epoll_ctl(own, EPOLL_CTL_ADD, fd, &e));
    pid_t pid = OK(fork());
    if (pid == 0) {
      sleep_ms(30);
      OK(kill(getpid(), SIGUSR1));
      epoll_wait(own, &e, 1, 10);
      _exit(0);
    }
  }
  END_CHILD(0);
  sleep_ms(60);
  while (read(fd, &i, sizeof i) > 0)
    ;
  OK(close(ep));
}

static void *other_thread(void *arg) {
  struct signalfd_siginfo i;
  int fd = *(int *)arg;
  EXPECT(read(fd, &i, sizeof i), sizeof i); /* blocks until the main thread directs one at us */
  EXPECT(i.ssi_signo, SIGUSR2);
  return NULL;
}

/* A signal for one thread is seen by that thread only. */
static void threads(void) {
  sigset_t s = set_of(SIGUSR2, 0);
  struct signalfd_siginfo i;
  pthread_t t;
  int fd = OK(signalfd(-1, &s, 0)), peek = OK(signalfd(-1, &s, SFD_NONBLOCK));
  EXPECT(pthread_create(&t, NULL, other_thread, &fd), 0);
  sleep_ms(20);
  EXPECT(pthread_kill(t, SIGUSR2), 0);
  FAILS(read(peek, &i, sizeof i), EAGAIN);
  EXPECT(pthread_join(t, NULL), 0);
  OK(close(fd));
  OK(close(peek));
}

static void fault(int fd) {
  OK(kill(getpid(), SIGUSR1));
  FAILS(read(fd, (void *)16, 128), EFAULT);
}

int main(void) {
  sigset_t all = set_of(SIGUSR1, SIGUSR2);
  sigaddset(&all, SIGRTMIN);
  sigaddset(&all, SIGCHLD);
  OK(sigprocmask(SIG_BLOCK, &all, NULL));
  arguments();
  int fd = OK(signalfd(-1, &all, SFD_NONBLOCK));
  details(fd);
  blocking_read();
  struct signalfd_siginfo i;
  while (read(fd, &i, sizeof i) > 0)
    ;
  across_fork(fd);
  with_epoll(fd);
  threads();
  fault(fd);
  return done();
}
