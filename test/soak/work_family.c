/* SPDX-License-Identifier: MIT */
/* Trees of processes made by fork, vfork, exec and spawn: every exit status is right, orphans find
   a parent, groups and sessions can be waited for and killed, and a pipe that all of them hold ends
   when the last one has. */
#include "soak.h"
#include <spawn.h>
#include <sys/prctl.h>

extern char **environ;

#define ARGS_MAX 6

/* `soak child WHAT ...`, what exec'd children do. */
int family_exec(int argc, char **argv) {
  if (argc == 4 && !strcmp(argv[2], "exit"))
    return atoi(argv[3]);
  if (argc == 5 && !strcmp(argv[2], "echo")) { /* a word to a descriptor, which is inherited */
    size_t n = strlen(argv[4]);
    return write(atoi(argv[3]), argv[4], n) == (ssize_t)n ? 7 : 8;
  }
  if (argc == 4 && !strcmp(argv[2], "sum")) { /* of its own memory, freshly loaded */
    static int zeros[5000];
    int v = atoi(argv[3]);
    for (int i = 0; i < 5000; i++)
      v += zeros[i];
    return v;
  }
  return 9;
}

static void exec_sum(int code) {
  char number[12];
  snprintf(number, sizeof number, "%d", code);
  char *argv[] = {"soak", "child", "sum", number, NULL};
  execv(self_path, argv);
  soak_fail(__FILE__, __LINE__, "execv", -1, is_scarce(errno));
}

/* The sum over the tree below, modulo something. */
static int tree(uint64_t seed, unsigned depth) {
  uint64_t r = seed;
  int sum = (int)below(&r, 7);
  pid_t pids[3];
  unsigned n = depth ? below(&r, 4) : 0;
  for (unsigned i = 0; i < n; i++) {
    pids[i] = child();
    if (pids[i] == 0)
      _exit(tree(mix(seed, i + 1), depth - 1));
  }
  for (unsigned i = 0; i < n; i++) {
    int status;
    EXPECT(waitpid(pids[i], &status, 0), pids[i]);
    if (lean && WIFEXITED(status) && WEXITSTATUS(status) == STATUS_SCARCE)
      give_up_quietly();
    CHECK(WIFEXITED(status));
    CHECK(WEXITSTATUS(status) < 64);
    sum += WEXITSTATUS(status);
  }
  return sum % 64;
}

/* The same without processes. */
static int tree_model(uint64_t seed, unsigned depth) {
  uint64_t r = seed;
  int sum = (int)below(&r, 7);
  unsigned n = depth ? below(&r, 4) : 0;
  for (unsigned i = 0; i < n; i++)
    sum += tree_model(mix(seed, i + 1), depth - 1);
  return sum % 64;
}

static void programs(uint64_t *r) {
  int p[2], code = (int)below(r, 60);
  char buf[20], number[12];
  pid_t pid = child();
  if (pid == 0)
    exec_sum(code);
  EXPECT_EXIT(pid, code);

  volatile int in_parent = 1;
  pid = OK(vfork());
  if (pid == 0) {
    in_parent = 2; /* the parent's memory */
    _exit(3);
  }
  EXPECT(in_parent, 2);
  EXPECT_EXIT(pid, 3);

  OK(pipe(p));
  snprintf(number, sizeof number, "%d", p[1]);
  char *argv[] = {"soak", "child", "echo", number, "hello", NULL};
  OK0(posix_spawn(&pid, self_path, NULL, NULL, argv, environ));
  OK(close(p[1]));
  EXPECT(read_full(p[0], buf, sizeof buf), 5);
  EXPECT(memcmp(buf, "hello", 5), 0);
  EXPECT_EXIT(pid, 7);
  OK(close(p[0]));

  char *nothing[] = {"nothing", NULL};
  int err = posix_spawn(&pid, "/nonexistent", NULL, NULL, nothing, environ);
  CHECK(err == ENOENT || (lean && is_scarce(err)));
}

/* A daemon's child outlives its parent; all hold the pipe. */
static void orphans(uint64_t *r) {
  int p[2];
  char c;
  OK(pipe(p));
  pid_t pid = child();
  if (pid == 0) {
    for (unsigned i = 0; i < 3; i++)
      if (child() == 0) {
        if (below(r, 2))
          setsid();
        if (i == 1) {
          sleep_us(below(r, 3000));
          _exit(0);
        }
        while (child() == 0 && ++i < 4) /* a line of them, each outlives its parent */
          ;
        write_full(p[1], "x", 1);
        _exit(0);
      }
    _exit(5);
  }
  OK(close(p[1]));
  unsigned n = 0;
  while (read_full(p[0], &c, 1) == 1)
    n++;
  CHECK((n >= 2 && n < 20) || lean);
  OK(close(p[0]));
  EXPECT_EXIT(pid, 5);
}

static void groups(uint64_t *r) {
  unsigned n = 1 + below(r, 5), left = n;
  pid_t leader = 0, me = getpid();
  for (unsigned i = 0; i < n; i++) {
    pid_t pid = child();
    if (pid == 0) {
      OK(prctl(PR_SET_PDEATHSIG, SIGKILL)); /* whoever kills the job's group misses this one */
      setpgid(0, leader);
      if (getppid() != me)
        _exit(0);
      for (;;)
        pause();
    }
    setpgid(pid, leader ? leader : pid);
    if (!leader)
      leader = pid;
  }
  OK(kill(-leader, SIGTERM));
  while (left > 0) {
    siginfo_t info;
    OK(waitid(P_PGID, (id_t)leader, &info, WEXITED));
    EXPECT(info.si_code, CLD_KILLED);
    EXPECT(info.si_status, SIGTERM);
    left--;
  }
  EXPECT(waitpid(-leader, NULL, 0) == -1 && errno == ECHILD, 1);
}

/* Nobody waits: the kernel reaps. */
static void unwanted(uint64_t *r) {
  int p[2];
  char c;
  signal(SIGCHLD, SIG_IGN);
  OK(pipe(p));
  for (unsigned n = 1 + below(r, 6); n > 0; n--)
    if (child() == 0)
      _exit(1);
  OK(close(p[1]));
  EXPECT(read_full(p[0], &c, 1), 0);
  OK(close(p[0]));
  EXPECT(waitpid(-1, NULL, 0) == -1 && errno == ECHILD, 1);
  signal(SIGCHLD, SIG_DFL);
}

void job_family(uint64_t *r) {
  uint64_t seed = rnd(r);
  unsigned depth = below(r, 5);
  pid_t pid = child();
  if (pid == 0)
    _exit(tree(seed, depth));
  EXPECT_EXIT(pid, tree_model(seed, depth));
  programs(r);
  orphans(r);
  groups(r);
  unwanted(r);
}
