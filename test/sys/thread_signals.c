/* SPDX-License-Identifier: MIT */
/* Signals to one thread: pthread_kill, tgkill, a queued one with a value; masks that are inherited
   and each thread's own; what waits for a thread and what for the process; faults. */
#include "check.h"
#include <pthread.h>
#include <semaphore.h>
#include <sys/syscall.h>

static int tgkill_(pid_t tgid, pid_t tid, int sig) {
  return (int)syscall(SYS_tgkill, tgid, tid, sig);
}
static pid_t tid(void) { return (pid_t)syscall(SYS_gettid); }

static int queue_to(pid_t thread, int sig, int value) {
  siginfo_t info = {.si_signo = sig, .si_code = SI_QUEUE};
  info.si_pid = getpid();
  info.si_uid = getuid();
  info.si_value.sival_int = value;
  return (int)syscall(SYS_rt_tgsigqueueinfo, getpid(), thread, sig, &info);
}

static sigset_t set_of(int a, int b) {
  sigset_t s;
  sigemptyset(&s);
  sigaddset(&s, a);
  if (b)
    sigaddset(&s, b);
  return s;
}

/* A thread that waits for orders; what it has caught is its own. */
struct worker {
  pthread_t t;
  pid_t tid;
  sem_t go, done;
  void (*order)(struct worker *w);
  siginfo_t got;
};
static __thread struct worker *me;
static __thread int caught, last_value;

static void on_signal(int sig, siginfo_t *info, void *context) {
  (void)sig, (void)context;
  caught++;
  last_value = info->si_value.sival_int;
}

static void *work(void *arg) {
  me = arg;
  me->tid = tid();
  OK(sem_post(&me->done));
  for (;;) {
    while (sem_wait(&me->go) == -1)
      EXPECT(errno, EINTR);
    if (!me->order)
      return NULL;
    me->order(me);
    OK(sem_post(&me->done));
  }
}

static void start(struct worker *w) {
  OK(sem_init(&w->go, 0, 0));
  OK(sem_init(&w->done, 0, 0));
  EXPECT(pthread_create(&w->t, NULL, work, w), 0);
  while (sem_wait(&w->done) == -1)
    ;
}
static void begin(struct worker *w, void (*order)(struct worker *w)) {
  w->order = order;
  OK(sem_post(&w->go));
}
static void finish(struct worker *w) {
  while (sem_wait(&w->done) == -1)
    ;
}
static void do_it(struct worker *w, void (*order)(struct worker *w)) {
  begin(w, order);
  finish(w);
}
static void stop(struct worker *w) {
  begin(w, NULL);
  EXPECT(pthread_join(w->t, NULL), 0);
}

/* ---- orders ---------------------------------------------------------------------------------- */

static void caught_none(struct worker *w) {
  (void)w;
  EXPECT(caught, 0);
}
static void caught_one(struct worker *w) {
  (void)w;
  EXPECT(caught, 1);
  caught = 0;
}
static void caught_three_queued(struct worker *w) {
  (void)w;
  EXPECT(caught, 3);
  EXPECT(last_value, 13); /* in order */
  caught = 0;
}
static void block(struct worker *w) {
  (void)w;
  sigset_t s = set_of(SIGUSR1, SIGRTMIN + 3);
  EXPECT(pthread_sigmask(SIG_BLOCK, &s, NULL), 0);
}
static void unblock(struct worker *w) {
  (void)w;
  sigset_t s = set_of(SIGUSR1, SIGRTMIN + 3);
  EXPECT(pthread_sigmask(SIG_UNBLOCK, &s, NULL), 0);
}
static void one_pending(struct worker *w) {
  (void)w;
  sigset_t s;
  OK(sigpending(&s));
  EXPECT(sigismember(&s, SIGUSR1), 1);
}
static void none_pending(struct worker *w) {
  (void)w;
  sigset_t s;
  OK(sigpending(&s));
  EXPECT(sigismember(&s, SIGUSR1), 0);
}
static void take(struct worker *w) {
  sigset_t s = set_of(SIGUSR1, SIGRTMIN + 3);
  int sig;
  while ((sig = sigwaitinfo(&s, &w->got)) == -1)
    EXPECT(errno, EINTR);
  EXPECT(sig, w->got.si_signo);
}
static void is_blocked(struct worker *w) {
  (void)w;
  sigset_t s;
  EXPECT(pthread_sigmask(SIG_BLOCK, NULL, &s), 0);
  EXPECT(sigismember(&s, SIGUSR1), 1);
  EXPECT(sigismember(&s, SIGUSR2), 0);
}
static void fault(struct worker *w) {
  (void)w;
  raise(SIGSEGV);
  EXPECT(caught, 1);
  caught = 0;
}

/* ---- tests
 * --------------------------------------------------------------------------------------- */

static void errors(struct worker *w) {
  FAILS(tgkill_(getpid(), w->tid, 65), EINVAL);
  FAILS(tgkill_(getpid(), w->tid, -1), EINVAL);
  FAILS(tgkill_(getpid(), 0, 0), EINVAL);
  FAILS(tgkill_(-1, w->tid, 0), EINVAL);
  FAILS(tgkill_(w->tid, w->tid, 0), ESRCH); /* not the process it belongs to */
  FAILS(tgkill_(getpid(), 0x3fffff, SIGUSR1), ESRCH);
  FAILS(syscall(SYS_tkill, 0, SIGUSR1), EINVAL);
  OK(tgkill_(getpid(), w->tid, 0));
  EXPECT(pthread_kill(w->t, 0), 0);
  EXPECT(pthread_kill(w->t, 77), EINVAL);
  do_it(w, caught_none);
}

static void directed(struct worker *a, struct worker *b) {
  EXPECT(pthread_kill(a->t, SIGUSR1), 0);
  do_it(a, caught_one);
  OK(tgkill_(getpid(), b->tid, SIGUSR1));
  do_it(b, caught_one);
  OK(syscall(SYS_tkill, b->tid, SIGUSR1));
  do_it(b, caught_one);
  do_it(a, caught_none);
  EXPECT(caught, 0);
  EXPECT(pthread_kill(pthread_self(), SIGUSR1), 0); /* at once */
  EXPECT(caught, 1);
  caught = 0;
}

static void queued(struct worker *a, struct worker *b) {
  do_it(a, block);
  for (int i = 11; i <= 13; i++)
    OK(queue_to(a->tid, SIGRTMIN + 3, i));
  do_it(a, caught_none);
  do_it(b, caught_none);
  do_it(a, unblock);
  do_it(a, caught_three_queued);
  do_it(a, block);
  OK(queue_to(a->tid, SIGRTMIN + 3, 42));
  do_it(a, take);
  EXPECT(a->got.si_code, SI_QUEUE);
  EXPECT(a->got.si_value.sival_int, 42);
  EXPECT(a->got.si_pid, getpid());
  do_it(a, unblock);
  do_it(a, caught_none);
  union sigval v = {.sival_int = 9}; /* to the process: any of its threads */
  do_it(a, block), do_it(b, block), block(NULL);
  OK(sigqueue(getpid(), SIGRTMIN + 3, v));
  do_it(b, take);
  EXPECT(b->got.si_value.sival_int, 9);
  do_it(a, unblock), do_it(b, unblock), unblock(NULL);
}

/* Pending for a thread is nobody else's; pending for the process, whoever lets it in first. */
static void pending(struct worker *a, struct worker *b) {
  do_it(a, block), do_it(b, block), block(NULL);
  EXPECT(pthread_kill(a->t, SIGUSR1), 0);
  EXPECT(pthread_kill(a->t, SIGUSR1), 0); /* the same one */
  do_it(a, one_pending);
  do_it(b, none_pending);
  none_pending(NULL);
  do_it(b, unblock);
  do_it(b, caught_none);
  do_it(a, unblock);
  do_it(a, caught_one);
  do_it(a, block), do_it(b, block);
  OK(kill(getpid(), SIGUSR1));
  do_it(a, one_pending), do_it(b, one_pending), one_pending(NULL);
  do_it(b, unblock);
  do_it(b, caught_one);
  do_it(a, none_pending);
  OK(kill(getpid(), SIGUSR1)); /* b alone lets it in, while it sleeps */
  for (sigset_t s; OK(sigpending(&s)), sigismember(&s, SIGUSR1);)
    sleep_ms(1);
  do_it(b, caught_one);
  do_it(a, unblock), unblock(NULL);
  do_it(a, caught_none);
  EXPECT(caught, 0);
}

/* sigwait in a thread takes what is directed there while it sleeps. */
static void waited_for(struct worker *a, struct worker *b) {
  do_it(a, block), do_it(b, block), block(NULL);
  begin(a, take);
  sleep_ms(5);
  EXPECT(pthread_kill(b->t, SIGUSR1), 0); /* not for a */
  do_it(b, one_pending);
  EXPECT(pthread_kill(a->t, SIGUSR1), 0);
  finish(a);
  EXPECT(a->got.si_signo, SIGUSR1);
  do_it(a, none_pending);
  do_it(b, take);
  do_it(a, unblock), do_it(b, unblock), unblock(NULL);
}

static void inherited(void) {
  struct worker c;
  block(NULL);
  EXPECT(pthread_kill(pthread_self(), SIGUSR1), 0);
  start(&c);
  do_it(&c, is_blocked);
  do_it(&c, none_pending); /* what is pending is not inherited */
  one_pending(NULL);
  do_it(&c, unblock);
  do_it(&c, caught_none);
  IN_CHILD { none_pending(NULL), is_blocked(NULL); }
  END_CHILD(0);
  stop(&c);
  unblock(NULL);
  EXPECT(caught, 1);
  caught = 0;
}

int main(void) {
  struct worker a, b;
  struct sigaction sa = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO};
  OK(sigaction(SIGUSR1, &sa, NULL));
  OK(sigaction(SIGSEGV, &sa, NULL));
  OK(sigaction(SIGRTMIN + 3, &sa, NULL));
  start(&a), start(&b);
  errors(&a);
  for (int i = 0; i < 20; i++) {
    directed(&a, &b);
    queued(&a, &b);
    pending(&a, &b);
    waited_for(&a, &b);
    do_it(&a, fault);
    do_it(&b, caught_none);
    inherited();
  }
  stop(&a), stop(&b);
  return done();
}
