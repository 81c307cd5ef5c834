/* SPDX-License-Identifier: MIT */
/* execve passes arguments and environment exactly, empty and odd ones too; PID and cwd stay. */
#include "check.h"

static char *env[] = {"A=1", "EMPTY=", "SPACE=a b\tc", NULL};

int main(int argc, char **argv) {
  if (argc > 1 && !strcmp(argv[1], "second")) {
    EXPECT(argc, 6);
    CHECK(!strcmp(argv[0], "zero") && !strcmp(argv[2], "") && !strcmp(argv[3], "sp ace"));
    CHECK(!strcmp(argv[4], "\x01\xff*?") && atoi(argv[5]) == getpid());
    extern char **environ;
    for (int i = 0; env[i]; i++)
      CHECK(environ[i] && !strcmp(environ[i], env[i]));
    CHECK(!environ[3]);
    char cwd[100];
    CHECK(getcwd(cwd, sizeof cwd) && !strcmp(cwd, "/"));
    return done();
  }
  OK(chdir("/"));
  char pid[20];
  sprintf(pid, "%d", getpid());
  execve("/proc/self/exe", (char *[]){"zero", "second", "", "sp ace", "\x01\xff*?", pid, NULL},
         env);
  CHECK(!"execve returned");
}
