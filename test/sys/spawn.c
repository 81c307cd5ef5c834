/* SPDX-License-Identifier: MIT */
/* posix_spawn with file actions, attributes and an environment; its errors come back as values. */
#include "check.h"
#include <spawn.h>

int main(int argc, char **argv) {
  if (argc > 1) {
    char *v = getenv("SPAWNED");
    sigset_t set;
    OK(sigprocmask(0, NULL, &set));
    CHECK(v && !strcmp(v, "yes") && sigismember(&set, SIGUSR1) && getpgrp() == getpid());
    printf("%s\n", argv[1]);
    return 9;
  }
  int p[2];
  OK(pipe(p));
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, p[1], 1);
  posix_spawn_file_actions_addclose(&actions, p[0]);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawnattr_t attr;
  posix_spawnattr_init(&attr);
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR1);
  posix_spawnattr_setsigmask(&attr, &set);
  posix_spawnattr_setpgroup(&attr, 0);
  posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETPGROUP);
  pid_t pid;
  EXPECT(posix_spawn(&pid, "/proc/self/exe", &actions, &attr, (char *[]){"x", "hello", NULL},
                     (char *[]){"SPAWNED=yes", NULL}),
         0);
  OK(close(p[1]));
  char buf[20];
  EXPECT(read(p[0], buf, sizeof buf), 6);
  CHECK(!memcmp(buf, "hello\n", 6));
  EXPECT_EXIT(pid, 9);
  EXPECT(posix_spawn(&pid, "/no/such", NULL, NULL, (char *[]){"x", NULL}, NULL), ENOENT);
  FAILS(wait(NULL), ECHILD);
  return done();
}
