/* SPDX-License-Identifier: MIT */
/* Threads that wait on one epoll instance: as long as nobody takes the data, each of them is told
   of a level-triggered descriptor, those that sleep already too; of an edge one is. */
#include "check.h"
#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>

enum { THREADS = 5, ROUNDS = 200 };

static int ep;
static int returned; /* atomic */

static void *wait_once(void *arg) {
  struct epoll_event ev;
  (void)arg;
  EXPECT(epoll_wait(ep, &ev, 1, -1), 1);
  CHECK(ev.events & EPOLLIN);
  __atomic_add_fetch(&returned, 1, __ATOMIC_SEQ_CST);
  return NULL;
}

static void *look_often(void *arg) {
  struct epoll_event ev;
  (void)arg;
  for (int i = 0; i < ROUNDS * 20; i++) /* always there, whatever the others do */
    EXPECT(epoll_wait(ep, &ev, 1, 0), 1);
  return NULL;
}

static void *poll_often(void *arg) {
  struct pollfd p = {ep, POLLIN, 0};
  (void)arg;
  for (int i = 0; i < ROUNDS * 20; i++)
    EXPECT(poll(&p, 1, 0), 1);
  return NULL;
}

static void all_are_told(int out) {
  pthread_t t[THREADS];
  for (int i = 0; i < THREADS; i++)
    EXPECT(pthread_create(&t[i], NULL, wait_once, NULL), 0);
  tell(out);
  for (int i = 0; i < THREADS; i++)
    EXPECT(pthread_join(t[i], NULL), 0);
}

static void one_is_told(int out) {
  pthread_t t[THREADS];
  returned = 0;
  for (int i = 0; i < THREADS; i++)
    EXPECT(pthread_create(&t[i], NULL, wait_once, NULL), 0);
  sleep_ms(50);
  for (int i = 1; i <= THREADS; i++) {
    tell(out);
    while (__atomic_load_n(&returned, __ATOMIC_SEQ_CST) < i)
      sleep_ms(1);
    sleep_ms(5);
    EXPECT(returned, i);
  }
  for (int i = 0; i < THREADS; i++)
    EXPECT(pthread_join(t[i], NULL), 0);
}

int main(void) {
  int p[2];
  pthread_t t[4];
  struct epoll_event ev = {.events = EPOLLIN};
  OK(pipe(p));
  ep = OK(epoll_create1(0));
  OK(epoll_ctl(ep, EPOLL_CTL_ADD, p[0], &ev));
  for (int round = 0; round < ROUNDS; round++) {
    all_are_told(p[1]);
    await(p[0]);
  }
  tell(p[1]);
  for (int i = 0; i < 4; i++)
    EXPECT(pthread_create(&t[i], NULL, i % 2 ? look_often : poll_often, NULL), 0);
  for (int i = 0; i < 4; i++)
    EXPECT(pthread_join(t[i], NULL), 0);
  await(p[0]);
  ev.events = EPOLLIN | EPOLLET;
  OK(epoll_ctl(ep, EPOLL_CTL_MOD, p[0], &ev));
  one_is_told(p[1]);
  return done();
}
