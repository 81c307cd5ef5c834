/* SPDX-License-Identifier: MIT */
/* test: cflags=-Wno-infinite-recursion */
/* Children of children of children: each sees its parent's memory of the moment of its fork. */
#include "check.h"

static int depth;
static int trail[64];

static void descend(void) {
  for (int i = 0; i < depth; i++)
    EXPECT(trail[i], i * i);
  if (depth == 40)
    _exit(depth);
  trail[depth] = depth * depth;
  depth++;
  pid_t pid = OK(fork());
  if (pid == 0)
    descend();
  int mine = depth;
  EXPECT_EXIT(pid, 40);
  EXPECT(depth, mine);
  EXPECT(trail[mine], 0);
  _exit(40);
}

int main(void) {
  pid_t pid = OK(fork());
  if (pid == 0)
    descend();
  EXPECT_EXIT(pid, 40);
  EXPECT(depth, 0);
  return done();
}
