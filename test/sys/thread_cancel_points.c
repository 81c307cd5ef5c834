/* SPDX-License-Identifier: MIT */
/* Cancellation in every kind of blocking call, as it is entered and while it sleeps; where it must
   wait: disabled, between points, in a mutex; clean-up in reverse order, then destructors. */
#include "check.h"
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/un.h>

static int pipes[2], sockets[2], listener, epolls;
static pid_t sleeper;
static sem_t empty;
static pthread_t joined;
static pthread_mutex_t held = PTHREAD_MUTEX_INITIALIZER;
static char c;

static void in_read(void) { read(pipes[0], &c, 1); }
static void in_recv(void) { recv(sockets[0], &c, 1, 0); }
static void in_accept(void) { accept(listener, NULL, NULL); }
static void in_poll(void) { poll(&(struct pollfd){pipes[0], POLLIN, 0}, 1, -1); }
static void in_select(void) {
  fd_set s;
  FD_ZERO(&s);
  FD_SET(pipes[0], &s);
  select(pipes[0] + 1, &s, NULL, NULL, NULL);
}
static void in_epoll(void) { epoll_wait(epolls, &(struct epoll_event){0}, 1, -1); }
static void in_sleep(void) { sleep(1000); }
static void in_pause(void) { pause(); }
static void in_wait(void) { waitpid(sleeper, NULL, 0); }
static void in_sem(void) { sem_wait(&empty); }
static void in_sem_timed(void) { sem_timedwait(&empty, &(struct timespec){1L << 40, 0}); }
static void in_join(void) { pthread_join(joined, NULL); }
static void in_sigwait(void) {
  sigset_t s;
  int sig;
  sigemptyset(&s);
  sigaddset(&s, SIGUSR2);
  sigwait(&s, &sig);
}
static void in_sigsuspend(void) {
  sigset_t s;
  sigemptyset(&s);
  sigsuspend(&s);
}
static void in_write(void) {
  static char much[1 << 20];
  write(sockets[0], much, sizeof much), write(sockets[0], much, sizeof much);
}

static void (*const points[])(void) = {
    in_read, in_recv, in_accept,    in_poll, in_select,  in_epoll,      in_sleep, in_pause,
    in_wait, in_sem,  in_sem_timed, in_join, in_sigwait, in_sigsuspend, in_write,
};
#define POINTS (int)(sizeof points / sizeof *points)

/* ---- order of what is run
 * ------------------------------------------------------------------------ */

static pthread_key_t key;
static char log_of[20];
static void note(void *arg) {
  size_t n = strlen(log_of);
  log_of[n] = (char)(intptr_t)arg;
}
static volatile int ready, cancelled;

static void *at_point(void *arg) {
  pthread_setspecific(key, (void *)'k');
  pthread_cleanup_push(note, (void *)'1');
  pthread_cleanup_push(note, (void *)'2');
  pthread_cleanup_push(note, (void *)'x');
  pthread_cleanup_pop(0); /* not run */
  pthread_cleanup_push(note, (void *)'3');
  pthread_cleanup_pop(1); /* run */
  ready = 1;
  for (;;)
    points[(intptr_t)arg]();
  pthread_cleanup_pop(0);
  pthread_cleanup_pop(0);
  return NULL;
}

static void run(void *(*f)(void *), intptr_t arg, bool late, void *expected) {
  pthread_t t;
  void *result;
  memset(log_of, 0, sizeof log_of);
  ready = cancelled = 0;
  EXPECT(pthread_create(&t, NULL, f, (void *)arg), 0);
  while (!ready)
    sched_yield();
  if (late)
    sleep_ms(5); /* it sleeps there by now, as a rule */
  EXPECT(pthread_cancel(t), 0);
  cancelled = 1;
  EXPECT(pthread_join(t, &result), 0);
  CHECK(result == expected);
}

/* ---- when it has to wait
 * ------------------------------------------------------------------------- */

/* Disabled: blocking calls go on; it acts at the first point after it is enabled. */
static void *disabled(void *arg) {
  int old;
  EXPECT(pthread_setcancelstate(77, &old), EINVAL);
  EXPECT(pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &old), 0);
  EXPECT(old, PTHREAD_CANCEL_ENABLE);
  pthread_cleanup_push(note, (void *)'d');
  ready = 1;
  do
    sleep_ms(5);
  while (!cancelled);
  pthread_testcancel();
  EXPECT(read(pipes[0], &c, 0), 0);
  note((void *)'-');
  EXPECT(pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, &old), 0);
  EXPECT(old, PTHREAD_CANCEL_DISABLE);
  pthread_testcancel();
  note((void *)'!');
  pthread_cleanup_pop(0);
  return arg;
}

/* Deferred: it goes on until the next point; a mutex is none. */
static void *between_points(void *arg) {
  int old;
  EXPECT(pthread_setcanceltype(PTHREAD_CANCEL_DEFERRED, &old), 0);
  EXPECT(old, PTHREAD_CANCEL_DEFERRED);
  ready = 1;
  EXPECT(pthread_mutex_lock(&held), 0); /* while the main thread has it */
  EXPECT(pthread_mutex_unlock(&held), 0);
  for (volatile int i = 0; i < 3000000; i++)
    ;
  note((void *)'m');
  pthread_testcancel();
  note((void *)'!');
  return arg;
}

static void in_mutex(void) {
  pthread_t t;
  void *result;
  memset(log_of, 0, sizeof log_of);
  ready = 0;
  EXPECT(pthread_mutex_lock(&held), 0);
  EXPECT(pthread_create(&t, NULL, between_points, NULL), 0);
  while (!ready)
    sched_yield();
  sleep_ms(5);
  EXPECT(pthread_cancel(t), 0);
  sleep_ms(5);
  EXPECT(pthread_mutex_unlock(&held), 0);
  EXPECT(pthread_join(t, &result), 0);
  CHECK(result == PTHREAD_CANCELED && !strcmp(log_of, "m"));
}

static void *asynchronous(void *arg) {
  int old;
  EXPECT(pthread_setcanceltype(99, &old), EINVAL);
  pthread_cleanup_push(note, (void *)'a');
  EXPECT(pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, &old), 0);
  ready = 1;
  for (volatile long i = (intptr_t)arg;; i++)
    ;
  pthread_cleanup_pop(0);
}

static void *cancels_itself(void *arg) {
  ready = 1;
  pthread_cleanup_push(note, (void *)'s');
  EXPECT(pthread_cancel(pthread_self()), 0);
  note((void *)'-');
  pthread_testcancel();
  pthread_cleanup_pop(0);
  return arg;
}

/* Whoever leaves by itself runs the same; a cancellation that comes too late changes nothing. */
static void *leaves(void *arg) {
  pthread_setspecific(key, (void *)'k');
  pthread_cleanup_push(note, (void *)'l');
  ready = 1;
  pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
  while (!cancelled)
    sleep_ms(1);
  pthread_exit(arg);
  pthread_cleanup_pop(0);
}

static void *never_ends(void *arg) {
  for (;;)
    pause();
  return arg;
}

int main(void) {
  struct sockaddr_un a = {.sun_family = AF_UNIX};
  OK(pipe(pipes));
  OK(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets));
  OK(sem_init(&empty, 0, 0));
  listener = OK(socket(AF_UNIX, SOCK_STREAM, 0));
  snprintf(a.sun_path + 1, 30, "cancel-%d", (int)getpid());
  OK(bind(listener, (struct sockaddr *)&a, sizeof a));
  OK(listen(listener, 1));
  epolls = OK(epoll_create1(0));
  EXPECT(pthread_key_create(&key, note), 0);
  EXPECT(pthread_create(&joined, NULL, never_ends, NULL), 0);
  sleeper = OK(fork());
  if (sleeper == 0)
    for (;;)
      pause();
  for (int i = 0; i < POINTS; i++)
    for (int late = 0; late < 2; late++) {
      run(at_point, i, late, PTHREAD_CANCELED);
      CHECK(!strcmp(log_of, "321k"));
    }
  run(disabled, 0, false, PTHREAD_CANCELED);
  CHECK(!strcmp(log_of, "-d"));
  in_mutex();
  for (int late = 0; late < 2; late++) {
    run(asynchronous, 0, late, PTHREAD_CANCELED);
    CHECK(!strcmp(log_of, "a"));
  }
  run(cancels_itself, 0, false, PTHREAD_CANCELED);
  CHECK(!strcmp(log_of, "-s"));
  run(leaves, 7, false, (void *)7);
  CHECK(!strcmp(log_of, "lk"));
  OK(kill(sleeper, SIGKILL));
  EXPECT_SIGNAL(sleeper, SIGKILL);
  return done();
}
