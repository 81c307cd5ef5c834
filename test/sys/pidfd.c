/* SPDX-License-Identifier: MIT */
/* pidfd: a process that cannot be mistaken: poll for its end, signals, waitid, clone, descriptors.
 */
#include "check.h"
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/syscall.h>

#define P_PIDFD_ 3
#define CLONE_PIDFD_ 0x1000

static int pidfd_open_(pid_t pid, unsigned flags) { return syscall(SYS_pidfd_open, pid, flags); }
static int send_signal(int fd, int sig, siginfo_t *info, unsigned flags) {
  return syscall(SYS_pidfd_send_signal, fd, sig, info, flags);
}
static int getfd(int fd, int target, unsigned flags) {
  return syscall(SYS_pidfd_getfd, fd, target, flags);
}

static pid_t sleeper(void) {
  pid_t pid = OK(fork());
  if (pid == 0)
    for (;;)
      pause();
  return pid;
}

static void arguments(void) {
  siginfo_t i;
  FAILS(pidfd_open_(0, 0), EINVAL);
  FAILS(pidfd_open_(-5, 0), EINVAL);
  FAILS(pidfd_open_(getpid(), 1), EINVAL);
  FAILS(pidfd_open_(5000000, 0), ESRCH);
  FAILS(send_signal(-1, 0, NULL, 0), EBADF);
  FAILS(send_signal(0, 0, NULL, 1u << 30), EINVAL);
  int null = OK(open("/dev/null", O_RDONLY));
  FAILS(send_signal(null, 0, NULL, 0), EBADF);
  FAILS(getfd(null, 0, 0), EBADF);
  FAILS(waitid(P_PIDFD_, null, &i, WEXITED), EBADF);
  FAILS(waitid(P_PIDFD_, -1, &i, WEXITED), EINVAL);
  int me = OK(pidfd_open_(getpid(), 0));
  char c;
  EXPECT(OK(fcntl(me, F_GETFD)), FD_CLOEXEC);
  FAILS(read(me, &c, 1), EINVAL);
  FAILS(waitid(P_PIDFD_, me, &i, WEXITED), ECHILD);
  FAILS(send_signal(me, 65, NULL, 0), EINVAL);
  FAILS(send_signal(me, 0, (siginfo_t *)16, 0), EFAULT);
  FAILS(getfd(me, null, 1), EINVAL);
  FAILS(getfd(me, 99, 0), EBADF);
  OK(send_signal(me, 0, NULL, 0));
  OK(close(me));
  OK(close(null));
}

static void life_of_a_child(void) {
  pid_t pid = sleeper();
  int fd = OK(pidfd_open_(pid, 0)), again = OK(pidfd_open_(pid, O_NONBLOCK));
  struct pollfd p = {fd, POLLIN, 0};
  struct epoll_event e = {.events = EPOLLIN};
  siginfo_t i;
  int ep = OK(epoll_create1(0));
  OK(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e));
  EXPECT(poll(&p, 1, 0), 0);
  EXPECT(epoll_wait(ep, &e, 1, 0), 0);
  FAILS(waitid(P_PIDFD_, again, &i, WEXITED), EAGAIN);
  i.si_pid = 1;
  OK(waitid(P_PIDFD_, again, &i, WEXITED | WNOHANG));
  EXPECT(i.si_pid, 0);
  OK(send_signal(fd, SIGSTOP, NULL, 0));
  OK(waitid(P_PIDFD_, fd, &i, WSTOPPED));
  EXPECT(i.si_code, CLD_STOPPED);
  EXPECT(i.si_pid, pid);
  OK(send_signal(fd, SIGCONT, NULL, 0));
  OK(send_signal(fd, SIGTERM, NULL, 0));
  EXPECT(poll(&p, 1, 100000), 1);
  EXPECT(p.revents, POLLIN);
  EXPECT(epoll_wait(ep, &e, 1, 100000), 1);
  OK(send_signal(fd, 0, NULL, 0)); /* a zombie is still there */
  OK(waitid(P_PIDFD_, fd, &i, WEXITED | WNOWAIT));
  OK(waitid(P_PIDFD_, again, &i, WEXITED));
  EXPECT(i.si_signo, SIGCHLD);
  EXPECT(i.si_code, CLD_KILLED);
  EXPECT(i.si_status, SIGTERM);
  FAILS(waitid(P_PIDFD_, fd, &i, WEXITED), ECHILD);
  FAILS(send_signal(fd, 0, NULL, 0), ESRCH);
  FAILS(getfd(fd, 0, 0), ESRCH);
  EXPECT(poll(&p, 1, 0), 1);
  CHECK(p.revents & POLLIN);
  OK(close(fd));
  OK(close(again));
  OK(close(ep));
}

static void with_info(void) {
  sigset_t set;
  siginfo_t i = {0}, got;
  int me = OK(pidfd_open_(getpid(), 0));
  sigemptyset(&set);
  sigaddset(&set, SIGRTMIN);
  OK(sigprocmask(SIG_BLOCK, &set, NULL));
  i.si_signo = SIGRTMIN;
  i.si_code = SI_QUEUE;
  i.si_value.sival_int = 77;
  FAILS(send_signal(me, SIGRTMIN + 1, &i, 0), EINVAL);
  OK(send_signal(me, SIGRTMIN, &i, 0));
  EXPECT(sigwaitinfo(&set, &got), SIGRTMIN);
  EXPECT(got.si_value.sival_int, 77);
  pid_t pid = sleeper();
  int fd = OK(pidfd_open_(pid, 0));
  i.si_code = SI_USER; /* only for oneself */
  FAILS(send_signal(fd, SIGRTMIN, &i, 0), EPERM);
  OK(send_signal(fd, SIGKILL, NULL, 0));
  EXPECT_SIGNAL(pid, SIGKILL);
  OK(close(fd));
  OK(close(me));
}

static void from_clone(void) {
  int fd = -1, before = OK(dup(0));
  OK(close(before));
  FAILS(syscall(SYS_clone, CLONE_PIDFD_ | CLONE_PARENT_SETTID | SIGCHLD, 0, &fd, 0, 0), EINVAL);
  FAILS(syscall(SYS_clone, CLONE_PIDFD_ | SIGCHLD, 0, 16, 0, 0), EFAULT);
  EXPECT(OK(dup(0)), before); /* nothing is left of it */
  OK(close(before));
  pid_t pid = OK((pid_t)syscall(SYS_clone, CLONE_PIDFD_ | SIGCHLD, 0, &fd, 0, 0));
  if (pid == 0)
    _exit(fcntl(before, F_GETFD) == -1 && errno == EBADF ? 7 : 1); /* the child has none */
  siginfo_t i;
  EXPECT(fd, before);
  EXPECT(OK(fcntl(fd, F_GETFD)), FD_CLOEXEC);
  OK(waitid(P_PIDFD_, fd, &i, WEXITED));
  EXPECT(i.si_pid, pid);
  EXPECT(i.si_status, 7);
  OK(close(fd));
  struct {
    uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls;
  } a = {.flags = CLONE_PIDFD_, .pidfd = (uintptr_t)&fd, .exit_signal = SIGCHLD};
  fd = -1;
  pid = OK((pid_t)syscall(SYS_clone3, &a, sizeof a));
  if (pid == 0)
    _exit(8);
  OK(waitid(P_PIDFD_, fd, &i, WEXITED));
  EXPECT(i.si_status, 8);
  OK(close(fd));
}

static void take_descriptor(void) {
  int p[2], ready[2];
  OK(pipe(ready));
  pid_t pid = OK(fork());
  if (pid == 0) {
    OK(pipe(p));
    EXPECT(write(p[1], "from child", 10), 10);
    EXPECT(write(ready[1], p, sizeof *p), sizeof *p);
    for (;;)
      pause();
  }
  char buf[20];
  int number, child = OK(pidfd_open_(pid, 0));
  EXPECT(read(ready[0], &number, sizeof number), sizeof number);
  int fd = OK(getfd(child, number, 0));
  EXPECT(OK(fcntl(fd, F_GETFD)), FD_CLOEXEC);
  EXPECT(read(fd, buf, sizeof buf), 10);
  CHECK(!memcmp(buf, "from child", 10));
  if (getuid() == 0)
    IN_CHILD {
      OK(setgid(1000));
      OK(setuid(1000));
      FAILS(getfd(child, number, 0), EPERM);
      FAILS(send_signal(child, 0, NULL, 0), EPERM);
    }
  END_CHILD(0);
  OK(kill(pid, SIGKILL));
  EXPECT_SIGNAL(pid, SIGKILL);
  FAILS(getfd(child, number, 0), ESRCH);
  OK(close(child));
}

static void *park(void *arg) {
  __atomic_store_n((int *)arg, (int)syscall(SYS_gettid), __ATOMIC_RELEASE);
  pause();
  return NULL;
}

static void of_a_thread(void) {
  pthread_t t;
  int tid = 0;
  IN_CHILD {
    EXPECT(pthread_create(&t, NULL, park, &tid), 0);
    while (!__atomic_load_n(&tid, __ATOMIC_ACQUIRE))
      sched_yield();
    EXPECT(pidfd_open_(tid, 0), -1);
    CHECK(errno == ENOENT || errno == EINVAL); /* older Linux */
  }
  END_CHILD(0);
}

int main(void) {
  arguments();
  life_of_a_child();
  with_info();
  from_clone();
  take_descriptor();
  of_a_thread();
  return done();
}
