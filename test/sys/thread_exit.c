/* SPDX-License-Identifier: MIT */
/* The end of a process with threads: exit from any of them, or exec, with others computing, blocked
   in every way, or being made; the main thread that leaves the others behind; death by a signal. */
#include "check.h"
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static int empty[2];

static void *compute(void *arg) {
  for (volatile unsigned long k = 0;; k++)
    if (k == ~0ul)
      return arg;
}
static void *block_in_read(void *arg) {
  char c;
  return (void *)(read(empty[0], &c, 1) + (intptr_t)arg);
}
static void *block_in_poll(void *arg) {
  struct pollfd p = {empty[0], POLLIN, 0};
  return (void *)(poll(&p, 1, -1) + (intptr_t)arg);
}
static void *block_in_cond(void *arg) {
  pthread_mutex_lock(&lock);
  for (;;)
    pthread_cond_wait(&cond, &lock);
  return arg;
}
static void *block_in_futex(void *arg) {
  static int word;
  for (;;)
    syscall(SYS_futex, &word, 0, 0, NULL, NULL, 0);
  return arg;
}
static void *block_in_wait(void *arg) {
  wait(NULL); /* for a child that never ends */
  return arg;
}
static void *call_all_the_time(void *arg) {
  for (;;)
    getppid(), sched_yield();
  return arg;
}
static void *map_all_the_time(void *arg) {
  for (;;) {
    char *p = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p != MAP_FAILED)
      p[5000] = 1, munmap(p, 65536);
  }
  return arg;
}
static void *make_threads(void *arg) {
  for (;;) {
    pthread_t t;
    if (pthread_create(&t, NULL, block_in_read, arg) == 0 && pthread_cancel(t) == 0)
      pthread_join(t, NULL);
  }
  return NULL;
}

static void *(*const bodies[])(void *) = {
    compute,       block_in_read,     block_in_poll,    block_in_cond, block_in_futex,
    block_in_wait, call_all_the_time, map_all_the_time, make_threads,
};
#define BODIES (sizeof bodies / sizeof *bodies)

static void start_all(void) {
  pthread_t t;
  pid_t pid = fork();
  if (pid == 0) {
    pause();
    _exit(0);
  }
  for (unsigned i = 0; i < BODIES; i++)
    EXPECT(pthread_create(&t, NULL, bodies[i], NULL), 0);
}

/* ---- ends
 * ------------------------------------------------------------------------------------------ */

static int at_exit[2];
static void say_bye(void) { EXPECT(write(at_exit[1], "b", 1), 1); }

static volatile int *volatile null;

static void *leave(void *arg) {
  switch ((intptr_t)arg) {
  case 0:
    exit(40);
  case 1:
    _exit(40);
  case 2:
    syscall(SYS_exit_group, 40);
    break;
  case 3:
    raise(SIGKILL);
    break;
  case 4:
    abort();
  case 5:
    kill(getpid(), SIGTERM);
    break;
  case 6:
    *null = 1;
    break;
  case 7: { /* another program, when it is there: it has one thread, that of the process's id */
    char pid[20];
    pthread_t t;
    snprintf(pid, sizeof pid, "%d", (int)getpid());
    EXPECT(execl("/no/such/program", "x", NULL), -1);
    EXPECT(pthread_create(&t, NULL, compute, NULL), 0); /* all goes on */
    execl("/proc/self/exe", "x", pid, NULL);
    CHECK(!"execl returned");
  }
  }
  for (;;)
    pause();
}

static const int signals[] = {0, 0, 0, SIGKILL, SIGABRT, SIGTERM, SIGSEGV, 0};

/* Descriptors are closed when the process has ended, whoever of it was using them. */
static void ends(int how, bool by_main) {
  char c;
  OK(pipe(at_exit));
  pid_t pid = OK(fork());
  if (pid == 0) {
    setpgid(0, 0);
    atexit(say_bye);
    start_all();
    sleep_ms(how % 3 * 3);
    pthread_t t;
    if (!by_main)
      EXPECT(pthread_create(&t, NULL, leave, (void *)(intptr_t)how), 0);
    else
      leave((void *)(intptr_t)how);
    for (;;)
      pause();
  }
  OK(close(at_exit[1]));
  int status = wait_for(pid);
  if (signals[how])
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == signals[how]);
  else
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 40);
  FAILS(kill(pid, 0), ESRCH);
  OK(kill(-pid, SIGKILL)); /* its child */
  EXPECT(read(at_exit[0], &c, 1), how == 0);
  if (how == 0)
    EXPECT(read(at_exit[0], &c, 1), 0);
  OK(close(at_exit[0]));
}

/* The main thread leaves; the process ends with the last one, with status 0. */
static int leave_through[2];
static void *last(void *arg) {
  char c;
  EXPECT(read(leave_through[0], &c, 1), 1);
  EXPECT(write(leave_through[1], "l", 1), 1);
  return arg;
}

/* In a program of its own: in a child of fork, musl 1.2.3 never lets go of its list of threads. */
static _Noreturn void leave_others(int in, int out) {
  pthread_t t;
  leave_through[0] = in, leave_through[1] = out;
  for (int i = 0; i < 3; i++)
    EXPECT(pthread_create(&t, NULL, last, NULL), 0);
  pthread_exit((void *)99);
}

static void main_leaves(void) {
  int p[2];
  char c;
  char in[20], out[20];
  OK(pipe(at_exit));
  OK(pipe(p));
  snprintf(in, sizeof in, "%d", p[0]);
  snprintf(out, sizeof out, "%d", at_exit[1]);
  pid_t pid = OK(fork());
  if (pid == 0)
    execl("/proc/self/exe", "x", in, out, NULL);
  for (int i = 0; i < 3; i++) {
    sleep_ms(5);
    EXPECT(waitpid(pid, NULL, WNOHANG), 0);
    OK(kill(pid, 0));
    tell(p[1]);
    EXPECT(read(at_exit[0], &c, 1), 1);
  }
  EXPECT_EXIT(pid, 0);
}

/* What is executed in the middle of it. */
static int executed(pid_t pid) {
  char line[100];
  int threads = 0;
  EXPECT(getpid(), pid);
  EXPECT(syscall(SYS_gettid), pid);
  FILE *f = fopen("/proc/self/status", "r");
  CHECK(f);
  while (fgets(line, sizeof line, f))
    sscanf(line, "Threads: %d", &threads);
  fclose(f);
  EXPECT(threads, 1);
  sleep_ms(2);
  return 40;
}

/* All threads execute at once: one does. */
static void *execute(void *arg) {
  execl("/proc/self/exe", "x", arg, NULL);
  pause(); /* the other was first: this is the end */
  return NULL;
}

static void all_execute(void) {
  pid_t pid = OK(fork());
  if (pid == 0) {
    char me[20];
    pthread_t t;
    snprintf(me, sizeof me, "%d", (int)getpid());
    for (int i = 0; i < 4; i++)
      EXPECT(pthread_create(&t, NULL, execute, me), 0);
    execute(me);
  }
  EXPECT_EXIT(pid, 40);
}

int main(int argc, char **argv) {
  if (argc > 2)
    leave_others(atoi(argv[1]), atoi(argv[2]));
  if (argc > 1)
    return executed(atoi(argv[1]));
  OK(pipe(empty));
  for (int how = 0; how < 8; how++)
    for (int by_main = 0; by_main < 2; by_main++)
      ends(how, by_main);
  main_leaves();
  for (int i = 0; i < 10; i++)
    all_execute();
  return done();
}
