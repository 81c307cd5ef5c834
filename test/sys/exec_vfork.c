/* SPDX-License-Identifier: MIT */
/* vfork + exec: the parent resumes at the exec, its memory as the child left it. */
#include "check.h"

int main(int argc, char **argv) {
  (void)argv;
  if (argc > 1) {
    sleep_ms(100);
    return 12;
  }
  volatile int mark = 0;
  long start = now_ms();
  pid_t pid = vfork();
  if (pid == 0) {
    mark = 1;
    execl("/proc/self/exe", "x", "child", NULL);
    _exit(1);
  }
  EXPECT(mark, 1);
  CHECK(now_ms() - start < 90);
  EXPECT(waitpid(pid, NULL, WNOHANG), 0);
  EXPECT_EXIT(pid, 12);
  return done();
}
