/* SPDX-License-Identifier: MIT */
/* Data, bss, heap and stack of the child start equal to the parent's and are separate from then on.
 */
#include "check.h"

static int data = 1;
static int bss;

int main(void) {
  int stack = 3;
  int *heap = malloc(sizeof *heap);
  *heap = 4;
  bss = 2;
  int up[2], down[2];
  OK(pipe(up)), OK(pipe(down));
  pid_t pid = OK(fork());
  if (pid == 0) {
    CHECK(data == 1 && bss == 2 && stack == 3 && *heap == 4);
    data = bss = stack = *heap = 50;
    tell(up[1]);
    await(down[0]);
    CHECK(data == 50 && bss == 50 && stack == 50 && *heap == 50);
    _exit(0);
  }
  await(up[0]);
  CHECK(data == 1 && bss == 2 && stack == 3 && *heap == 4);
  data = bss = stack = *heap = 60;
  tell(down[1]);
  EXPECT_EXIT(pid, 0);
  CHECK(data == 60 && bss == 60 && stack == 60 && *heap == 60);
  return done();
}
