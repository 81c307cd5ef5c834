/* SPDX-License-Identifier: MIT */
/* A family that blocks, maps, forks, sends and waits in every way, until it is killed in the middle
   of it. Nothing is checked here: what matters is what is left, which is nothing. */
#include "soak.h"
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/un.h>

static int pipes[2], sockets[2], events, listener, epolls;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;

static void open_all(void) {
  struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  (void)!pipe(pipes);
  socketpair(AF_UNIX, SOCK_STREAM, 0, sockets);
  events = eventfd(0, 0);
  epolls = epoll_create1(0);
  listener = socket(AF_INET, SOCK_STREAM, 0);
  if (bind(listener, (struct sockaddr *)&a, sizeof a) == 0)
    listen(listener, 4);
  struct epoll_event ev = {.events = EPOLLIN};
  epoll_ctl(epolls, EPOLL_CTL_ADD, pipes[0], &ev);
  epoll_ctl(epolls, EPOLL_CTL_ADD, sockets[0], &ev);
}

/* A pipe, or the socket in whose queue it then waits: a circle of one. */
static void pass_descriptor(uint64_t *r) {
  char control[CMSG_SPACE(sizeof(int))] = {0};
  struct iovec iov = {"x", 1};
  struct msghdr m = {
      .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
  struct cmsghdr *c = CMSG_FIRSTHDR(&m);
  c->cmsg_level = SOL_SOCKET;
  c->cmsg_type = SCM_RIGHTS;
  c->cmsg_len = CMSG_LEN(sizeof(int));
  memcpy(CMSG_DATA(c), below(r, 2) ? &sockets[0] : &pipes[0], sizeof(int));
  sendmsg(sockets[1], &m, MSG_DONTWAIT);
}

static void map_something(uint64_t *r) {
  size_t n = 4096 * (1 + below(r, 64));
  char *p = mmap(NULL, n, PROT_READ | PROT_WRITE,
                 MAP_ANONYMOUS | (below(r, 2) ? MAP_PRIVATE : MAP_SHARED), -1, 0);
  if (p == MAP_FAILED)
    return;
  p[below(r, (unsigned)n)] = 1;
  if (below(r, 2))
    munmap(p, n);
}

static void fork_something(uint64_t *r) {
  pid_t pid = fork();
  if (pid == 0) {
    char *argv[] = {"soak", "child", "exit", "0", NULL};
    if (below(r, 2))
      execv(self_path, argv);
    if (below(r, 2))
      sleep_us(below(r, 3000));
    _exit(0);
  }
  if (pid > 0 && below(r, 3))
    waitpid(pid, NULL, 0);
}

static void connect_something(void) {
  struct sockaddr_in a;
  socklen_t len = sizeof a;
  int s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (getsockname(listener, (struct sockaddr *)&a, &len) == 0)
    connect(s, (struct sockaddr *)&a, len);
  (void)!write(s, "hello", 5);
  close(s);
}

static void touch_files(uint64_t *r) {
  int fd = memfd_create("chaos", MFD_CLOEXEC), t = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
  struct itimerspec ts = {{0, 1000000}, {0, 1000000}};
  (void)!ftruncate(fd, 4096 * (1 + below(r, 100)));
  (void)!pwrite(fd, "x", 1, below(r, 300000));
  timerfd_settime(t, 0, &ts, NULL);
  flock(fd, LOCK_EX);
  close(dup(fd));
  if (below(r, 2))
    close(fd);
  close(t);
}

static _Noreturn void *block(void *arg) {
  char buf[300];
  struct sockaddr_in a;
  socklen_t len = sizeof a;
  struct pollfd p = {pipes[0], POLLIN, 0};
  struct epoll_event ev;
  sigset_t set;
  sigemptyset(&set);
  for (;;)
    switch ((uintptr_t)arg % 9) {
    case 0:
      if (read(pipes[0], buf, sizeof buf) < 0)
        pause();
      break;
    case 1:
      recv(sockets[0], buf, sizeof buf, 0);
      break;
    case 2:
      close(accept(listener, (struct sockaddr *)&a, &len));
      break;
    case 3:
      epoll_wait(epolls, &ev, 1, -1);
      sched_yield();
      break;
    case 4:
      poll(&p, 1, -1);
      sched_yield();
      break;
    case 5:
      pthread_mutex_lock(&mutex);
      pthread_cond_wait(&cond, &mutex);
      pthread_mutex_unlock(&mutex);
      break;
    case 6:
      sigsuspend(&set);
      break;
    case 7:
      if (read(events, buf, 8) < 0)
        pause();
      break;
    default:
      sleep(1);
    }
}

static void act(uint64_t *r) {
  char buf[300] = {0};
  uint64_t one = 1;
  switch (below(r, 12)) {
  case 0:
    (void)!write(pipes[1], buf, below(r, sizeof buf));
    break;
  case 1:
    send(sockets[1], buf, below(r, sizeof buf), MSG_DONTWAIT);
    break;
  case 2:
    pass_descriptor(r);
    break;
  case 3:
  case 4:
    fork_something(r);
    break;
  case 5:
    map_something(r);
    break;
  case 6:
    connect_something();
    break;
  case 7:
    touch_files(r);
    break;
  case 8:
    (void)!write(events, &one, sizeof one);
    break;
  case 9:
    pthread_cond_broadcast(&cond);
    break;
  case 10:
    kill(getpid(), SIGUSR1);
    break;
  default:
    free(malloc(below(r, 100000)));
  }
}

static _Noreturn void *keep_acting(void *arg) {
  uint64_t r = (uint64_t)(uintptr_t)arg;
  for (;;)
    act(&r);
}

static void nothing(int sig) { (void)sig; }

void job_chaos(uint64_t *r) {
  catch_signal(SIGUSR1, nothing, 0);
  signal(SIGPIPE, SIG_IGN);
  open_all();
  for (unsigned n = below(r, 3); n > 0; n--)
    if (fork() == 0)
      break;
  pthread_t t;
  for (unsigned n = 2 + below(r, 5); n > 0; n--)
    pthread_create(&t, NULL, block, (void *)(uintptr_t)below(r, 9));
  if (below(r, 2))
    pthread_create(&t, NULL, keep_acting, (void *)(uintptr_t)mix(*r, (uint64_t)getpid()));
  uint64_t mine = mix(*r, (uint64_t)getpid());
  keep_acting((void *)(uintptr_t)mine);
}
