/* SPDX-License-Identifier: MIT */
/* A hundred KB of arguments arrive; more than the system takes is E2BIG and harmless. */
#include "check.h"
#include <sys/resource.h>

enum { N = 1000, LEN = 100 };

int main(int argc, char **argv) {
  if (argc > 1) {
    EXPECT(argc, N);
    for (int i = 1; i < N; i++) {
      EXPECT(strlen(argv[i]), LEN);
      CHECK(argv[i][0] == 'a' + i % 26 && argv[i][LEN - 1] == 'a' + i % 26);
    }
    return done();
  }
  static char *args[N + 1], *many[100001];
  for (int i = 0; i < N; i++) {
    args[i] = malloc(LEN + 1);
    memset(args[i], 'a' + i % 26, LEN);
    args[i][LEN] = 0;
  }
  for (int i = 0; i < 100000; i++)
    many[i] = args[i % N];
  char *no_env[] = {NULL};
  FAILS(execve("/proc/self/exe", many, no_env), E2BIG); /* 10 MB */
  execve("/proc/self/exe", args, no_env);
  CHECK(!"execve returned");
}
