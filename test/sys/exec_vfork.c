/* SPDX-License-Identifier: MIT */
/* vfork + exec: the parent resumes at the exec, its memory as the child left it. */
#include "check.h"

int main(int argc, char **argv) {
  (void)argv;
  int p[2];
  char c;
  if (argc > 1) /* standard input: until the parent goes on */
    return read(0, &c, 1) == 1 ? 12 : 1;
  volatile int mark = 0;
  OK(pipe(p));
  pid_t pid = vfork();
  if (pid == 0) {
    mark = 1;
    dup2(p[0], 0);
    execl("/proc/self/exe", "x", "child", NULL);
    _exit(1);
  }
  EXPECT(mark, 1);
  EXPECT(waitpid(pid, NULL, WNOHANG), 0);
  tell(p[1]);
  EXPECT_EXIT(pid, 12);
  return done();
}
