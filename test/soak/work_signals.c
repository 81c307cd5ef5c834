/* SPDX-License-Identifier: MIT */
/* Real-time signals arrive as often as they were queued, with their values; timers fire; processes
   stop, continue and die by the signal that was sent. */
#include "soak.h"
#include <sys/signalfd.h>
#include <sys/time.h>

enum { BY_HANDLER, BY_WAIT, BY_SIGNALFD, WAYS };

static atomic_long arrived, sum;

static void count_value(int sig, siginfo_t *info, void *context) {
  (void)sig, (void)context;
  arrived++;
  sum += info->si_value.sival_int;
}

static void take_by_wait(const sigset_t *set, long n) {
  siginfo_t info;
  while (arrived < n) {
    MARK();
    int sig = sigwaitinfo(set, &info);
    if (sig == -1 && errno == EINTR)
      continue;
    CHECK(sig >= SIGRTMIN);
    count_value(sig, &info, NULL);
  }
}

static void take_by_fd(const sigset_t *set, long n) {
  struct signalfd_siginfo info[4];
  int fd = OK(signalfd(-1, set, SFD_CLOEXEC));
  while (arrived < n) {
    ssize_t k = OK(read(fd, info, sizeof info));
    for (size_t i = 0; i < (size_t)k / sizeof *info; i++) {
      arrived++;
      sum += info[i].ssi_int;
    }
  }
  OK(close(fd));
}

static void take_by_handler(const sigset_t *set, long n) {
  struct sigaction sa = {.sa_sigaction = count_value, .sa_flags = SA_SIGINFO | SA_RESTART};
  sigset_t old;
  sigemptyset(&sa.sa_mask);
  for (int i = 0; i < 3; i++)
    OK(sigaction(SIGRTMIN + i, &sa, NULL));
  OK(sigprocmask(SIG_BLOCK, NULL, &old));
  for (int i = 0; i < 3; i++)
    sigdelset(&old, SIGRTMIN + i);
  while (arrived < n) { /* blocked but in sigsuspend */
    MARK();
    sigsuspend(&old);
  }
  (void)set;
}

static void send_values(pid_t to, unsigned n, uint64_t r) {
  for (unsigned i = 1; i <= n; i++) {
    union sigval v = {.sival_int = (int)i};
    MARK();
    while (sigqueue(to, SIGRTMIN + (int)below(&r, 3), v) == -1) {
      CHECK(errno == EAGAIN);
      sched_yield();
    }
  }
}

static void queued(uint64_t *r) {
  sigset_t set;
  unsigned senders = 1 + below(r, 3), n = 1 + below(r, 200);
  int way = (int)below(r, WAYS);
  pid_t me = getpid(), pids[3];
  sigemptyset(&set);
  for (int i = 0; i < 3; i++)
    sigaddset(&set, SIGRTMIN + i);
  OK(sigprocmask(SIG_BLOCK, &set, NULL));
  arrived = sum = 0;
  for (unsigned i = 0; i < senders; i++) {
    pids[i] = child();
    if (pids[i] == 0) {
      send_values(me, n, mix(*r, i));
      _exit(0);
    }
  }
  long all = (long)senders * n;
  if (way == BY_HANDLER)
    take_by_handler(&set, all);
  else if (way == BY_WAIT)
    take_by_wait(&set, all);
  else
    take_by_fd(&set, all);
  EXPECT(arrived, all);
  EXPECT(sum, (long)senders * n * (n + 1) / 2);
  for (unsigned i = 0; i < senders; i++)
    EXPECT_EXIT(pids[i], 0);
  sigset_t pending;
  OK(sigpending(&pending));
  for (int i = 0; i < 3; i++)
    EXPECT(sigismember(&pending, SIGRTMIN + i), 0);
}

/* ---- stop, continue, die --------------------------------------------------------------------- */

static void stop_and_go(uint64_t *r) {
  int status;
  pid_t pid = child();
  if (pid == 0) {
    volatile unsigned n = 0;
    if (below(r, 2))
      for (;;)
        n++;
    for (;;)
      pause();
  }
  for (unsigned i = below(r, 6); i > 0; i--) {
    OK(kill(pid, SIGSTOP));
    EXPECT(waitpid(pid, &status, WUNTRACED), pid);
    CHECK(WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP);
    OK(kill(pid, SIGCONT));
    EXPECT(waitpid(pid, &status, WCONTINUED), pid);
    CHECK(WIFCONTINUED(status));
  }
  if (below(r, 3) == 0)
    OK(kill(pid, SIGSTOP)); /* SIGKILL gets it all the same */
  OK(kill(pid, SIGKILL));
  EXPECT_SIGNAL(pid, SIGKILL);
}

static void die_by(uint64_t *r) {
  static const int fatal[] = {SIGTERM, SIGHUP, SIGINT, SIGUSR1, SIGPIPE, SIGALRM, SIGSEGV, SIGILL};
  int sig = fatal[below(r, sizeof fatal / sizeof *fatal)];
  OK(signal(sig, SIG_DFL) == SIG_ERR ? -1 : 0); /* who started this may ignore it */
  pid_t pid = child();
  if (pid == 0) {
    if (below(r, 2))
      for (;;)
        pause();
    for (;;)
      getppid();
  }
  if (below(r, 2))
    sleep_us(below(r, 1000));
  OK(kill(pid, sig));
  EXPECT_SIGNAL(pid, sig);
}

/* ---- timers ---------------------------------------------------------------------------------- */

static atomic_int ticks;
static void on_tick(int sig) { (void)sig, ticks++; }

static void timers(uint64_t *r) {
  struct itimerval it = {{0, 1000}, {0, 1 + below(r, 2000)}}, off = {{0, 0}, {0, 0}};
  catch_signal(SIGALRM, on_tick, 0);
  catch_signal(SIGVTALRM, on_tick, 0);
  ticks = 0;
  timer_t timer;
  struct sigevent ev = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGVTALRM};
  struct itimerspec ts = {{0, 700000}, {0, 1 + below(r, 1000000)}};
  OK(timer_create(CLOCK_MONOTONIC, &ev, &timer));
  OK(timer_settime(timer, 0, &ts, NULL));
  OK(setitimer(ITIMER_REAL, &it, NULL));
  for (int want = 3 + (int)below(r, 8); ticks < want;) {
    MARK();
    if (below(r, 2))
      pause(); /* the next tick ends it, if this one came too early */
  }
  OK(setitimer(ITIMER_REAL, &off, NULL));
  if (below(r, 2)) /* else exit has to stop it */
    OK(timer_delete(timer));
}

/* ---- threads and signals
 * -------------------------------------------------------------------------- */

static __thread volatile int here;
static void on_directed(int sig) { (void)sig, here++; }

struct listener {
  pthread_t id;
  int want;
  sem_t *ready;
};

static void *listen_for(void *arg) {
  struct listener *l = arg;
  OK(sem_post(l->ready));
  while (here < l->want)
    sched_yield();
  sleep_us(100);
  EXPECT(here, l->want);
  return NULL;
}

/* Each thread gets its own: one at a time, as they do not queue. */
static void directed(uint64_t *r) {
  struct listener l[3];
  sem_t ready;
  OK(sem_init(&ready, 0, 0));
  catch_signal(SIGUSR2, on_directed, SA_RESTART);
  for (int i = 0; i < 3; i++) {
    l[i].want = (int)below(r, 2);
    l[i].ready = &ready;
    OK0(pthread_create(&l[i].id, NULL, listen_for, &l[i]));
  }
  for (int i = 0; i < 3; i++)
    while (sem_wait(&ready) == -1)
      ;
  for (int i = 0; i < 3; i++)
    if (l[i].want)
      OK0(pthread_kill(l[i].id, SIGUSR2));
  for (int i = 0; i < 3; i++)
    OK0(pthread_join(l[i].id, NULL));
  EXPECT(here, 0);
}

void job_signals(uint64_t *r) {
  queued(r);
  stop_and_go(r);
  die_by(r);
  directed(r);
  timers(r);
}
