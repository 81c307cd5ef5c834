/* SPDX-License-Identifier: MIT */
/* What was sent before the end comes before the end, however late it is looked for: a reader that
   spins meets a writer that writes and at once closes, shuts down or ends. */
/* test: timeout=120 */
#include "check.h"
#include <pthread.h>
#include <sys/socket.h>

#define ROUNDS 3000 /* fewer where each takes long: two that spin have one CPU between them */
#define FEW 100
#define MS 15000

static int posted = -1, way; /* atomic: the writer's end; -2: that was all */

static void *writer(void *arg) {
  for (;;) {
    int fd, looks = 0;
    while ((fd = __atomic_exchange_n(&posted, -1, __ATOMIC_SEQ_CST)) == -1)
      if (++looks % 200 == 0)
        sched_yield();
    if (fd == -2)
      return arg;
    EXPECT(write(fd, "last", 4), 4);
    if (way)
      OK(shutdown(fd, SHUT_WR));
    OK(close(fd));
  }
}

/* How many bytes until the end. */
static int read_to_end(int fd) {
  char buf[16];
  int sum = 0, looks = 0;
  for (;;) {
    ssize_t n = read(fd, buf, sizeof buf);
    if (n == 0)
      return sum;
    CHECK(n > 0 || errno == EAGAIN);
    sum += n > 0 ? (int)n : 0;
    if (n < 0 && ++looks % 20 == 0)
      sched_yield();
  }
}

static void race(int type) {
  pthread_t t;
  EXPECT(pthread_create(&t, NULL, writer, NULL), 0);
  long until = now_ms() + MS;
  for (int i = 0; i < ROUNDS && (i < FEW || now_ms() < until); i++) {
    int s[2];
    if (type)
      OK(socketpair(AF_UNIX, type | SOCK_NONBLOCK, 0, s));
    else
      OK(pipe2(s, O_NONBLOCK));
    __atomic_store_n(&posted, s[1], __ATOMIC_SEQ_CST);
    EXPECT(read_to_end(s[0]), 4);
    OK(close(s[0]));
  }
  __atomic_store_n(&posted, -2, __ATOMIC_SEQ_CST);
  EXPECT(pthread_join(t, NULL), 0);
}

int main(void) {
  race(0);
  for (way = 0; way < 2; way++)
    race(SOCK_STREAM); /* Linux gets it wrong with SOCK_SEQPACKET */
  return done();
}
