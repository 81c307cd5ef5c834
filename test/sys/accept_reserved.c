// SPDX-License-Identifier: MIT
/* accept has its descriptor before it waits: no other thread takes it, and no child inherits it. */
#include "check.h"

#include <netinet/in.h>
#include <pthread.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>

static int listener, served;

static void *serve(void *unused) {
  do /* the other thread tries the only descriptor now and then */
    served = accept(listener, NULL, NULL);
  while (served < 0 && errno == EMFILE);
  return unused;
}

static void wait_for_connection(int family) {
  struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  struct sockaddr_un un = {.sun_family = AF_UNIX};
  int length = snprintf(un.sun_path + 1, 40, "at-reserved-%d", (int)getpid());
  socklen_t size = family == AF_INET ? sizeof in : sizeof(sa_family_t) + 1 + (socklen_t)length;
  struct sockaddr *address = family == AF_INET ? (struct sockaddr *)&in : (struct sockaddr *)&un;
  struct rlimit old, small;
  pthread_t thread;
  listener = OK(socket(family, SOCK_STREAM, 0));
  int client = OK(socket(family, SOCK_STREAM, 0));
  OK(bind(listener, address, size));
  OK(getsockname(listener, address, &size));
  OK(listen(listener, 8));
  int number = OK(dup(0)), taken;
  OK(close(number));
  OK(getrlimit(RLIMIT_NOFILE, &old));
  small = old;
  small.rlim_cur = (rlim_t)number + 1;
  OK(setrlimit(RLIMIT_NOFILE, &small));
  EXPECT(pthread_create(&thread, NULL, serve, NULL), 0);
  while ((taken = dup(0)) >= 0) {
    OK(close(taken));
    usleep(1000);
  }
  CHECK(errno == EMFILE);
  FAILS(fcntl(number, F_GETFD), EBADF);
  FAILS(fcntl(number, F_SETFD, FD_CLOEXEC), EBADF);
  FAILS(close(number), EBADF);
  FAILS(dup(number), EBADF);
  FAILS(syscall(SYS_dup2, 0, number), EBUSY); /* musl repeats it */
  pid_t child = OK(fork());
  if (child == 0) {
    EXPECT(dup(0), number);
    _exit(0);
  }
  EXPECT_EXIT(child, 0);
  OK(connect(client, address, size));
  EXPECT(pthread_join(thread, NULL), 0);
  EXPECT(served, number);
  OK(setrlimit(RLIMIT_NOFILE, &old));
  OK(write(client, "x", 1));
  char byte = 0;
  EXPECT(read(served, &byte, 1), 1);
  EXPECT(byte, 'x');
  OK(close(served));
  OK(close(client));
  /* One that fails gives it back. */
  OK(fcntl(listener, F_SETFL, O_NONBLOCK));
  FAILS(accept(listener, NULL, NULL), EAGAIN);
  FAILS(accept(0, NULL, NULL), ENOTSOCK);
  client = OK(socket(family, SOCK_STREAM, 0));
  OK(connect(client, address, size));
  OK(fcntl(listener, F_SETFL, 0));
  socklen_t room = sizeof(struct sockaddr);
  FAILS(accept(listener, (struct sockaddr *)8, &room), EFAULT);
  OK(close(client));
  number = OK(dup(0));
  EXPECT(number, listener + 1);
  OK(close(number));
  OK(close(listener));
}

int main(void) {
  wait_for_connection(AF_INET);
  wait_for_connection(AF_UNIX);
  puts("ok");
  return 0;
}
