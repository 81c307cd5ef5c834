/* SPDX-License-Identifier: MIT */
/* test: timeout=120 */
/* What a peer sends just before it closes is received, however the two meet: the end comes after
 * it. */
#include "check.h"
#include <pthread.h>
#include <sched.h>
#include <sys/socket.h>

#define ROUNDS 20000 /* fewer where each takes long: two that spin have one CPU between them */
#define FEW 100
#define MS 40000

static int sender, turn; /* turn: counts rounds begun, by the receiver; -1: that was all */

static void *talk(void *arg) {
  for (int round = 1, now;; round++) {
    while ((now = __atomic_load_n(&turn, __ATOMIC_ACQUIRE)) != round && now != -1)
      sched_yield();
    if (now == -1)
      return arg;
    for (volatile int wait = round % 64; wait; wait--)
      ;
    EXPECT(send(sender, "x", 1, 0), 1);
    close(sender);
  }
}

int main(void) {
  pthread_t thread;
  EXPECT(pthread_create(&thread, NULL, talk, NULL), 0);
  long until = now_ms() + MS;
  for (int round = 1; round <= ROUNDS && (round <= FEW || now_ms() < until); round++) {
    int pair[2];
    char c;
    OK(socketpair(AF_UNIX, round % 2 ? SOCK_STREAM : SOCK_SEQPACKET, 0, pair));
    sender = pair[1];
    __atomic_store_n(&turn, round, __ATOMIC_RELEASE);
    EXPECT(recv(pair[0], &c, 1, 0), 1);
    EXPECT(recv(pair[0], &c, 1, 0), 0);
    close(pair[0]);
  }
  __atomic_store_n(&turn, -1, __ATOMIC_RELEASE);
  EXPECT(pthread_join(thread, NULL), 0);
  puts("ok");
  return 0;
}
