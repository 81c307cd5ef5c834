/* SPDX-License-Identifier: MIT */
/* exit runs atexit handlers in each process once, _exit none; exit_group ends all threads. */
#include "check.h"
#include <pthread.h>

static int fd;
static void first(void) { EXPECT(write(fd, "1", 1), 1); }
static void second(void) { EXPECT(write(fd, "2", 1), 1); }

static void *idle(void *arg) {
  for (;;)
    pause();
  return arg;
}

static void *leave(void *arg) {
  (void)arg;
  exit(33);
  return NULL;
}

static void *last(void *arg) {
  (void)arg;
  sleep_ms(30);
  exit(44);
  return NULL;
}

int main(void) {
  char buf[10];
  int p[2];
  OK(pipe(p));
  fd = p[1];
  EXPECT(atexit(first), 0);
  EXPECT(atexit(second), 0);
  pid_t pid = OK(fork());
  if (pid == 0)
    exit(3);
  EXPECT_EXIT(pid, 3);
  EXPECT(read(p[0], buf, 10), 2);
  CHECK(!memcmp(buf, "21", 2));
  IN_CHILD { _exit(0); }
  END_CHILD(0);
  pid = OK(fork());
  if (pid == 0) {
    pthread_t t;
    for (int i = 0; i < 3; i++)
      EXPECT(pthread_create(&t, NULL, idle, NULL), 0);
    EXPECT(pthread_create(&t, NULL, leave, NULL), 0);
    idle(NULL);
  }
  EXPECT_EXIT(pid, 33);
  pid = OK(fork());
  if (pid == 0) { /* the first thread leaves alone: the process lives on */
    pthread_t t;
    EXPECT(pthread_create(&t, NULL, last, NULL), 0);
    pthread_exit(NULL);
  }
  EXPECT_EXIT(pid, 44);
  EXPECT(read(p[0], buf, 10), 4);
  OK(fcntl(p[0], F_SETFL, O_NONBLOCK));
  FAILS(read(p[0], buf, 10), EAGAIN);
  fd = OK(open("/dev/null", O_WRONLY));
  return done();
}
