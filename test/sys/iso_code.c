/* SPDX-License-Identifier: MIT */
/*
 * Jumps and calls to wild addresses harm the jumping process alone: it dies or runs its own code at
 * another place; everyone else goes on.
 */
/* test: only=ufork timeout=100 */
#include "check.h"

static void jump(uintptr_t to) {
  void (*volatile go)(void) = (void (*)(void))to;
  close(0), close(1), close(2);
  alarm(2); /* it may have landed in a loop of its own */
  go();
  _exit(0);
}

int main(void) {
  static const uintptr_t chosen[] = {0,          0x10,       0xfff,      0x10000,
                                     0x1fffffe0, 0x20000000, 0xffffffff, 0x100000000,
                                     1ul << 47,  ~0ul,       ~0ul << 47, 0xffffffff80000000};
  static char data[64] = "\x0f\x05\x0f\x05";
  uint64_t seed = 99;
  pid_t pid;
  for (size_t i = 0; i < sizeof chosen / sizeof *chosen; i++) {
    if ((pid = OK(fork())) == 0)
      jump(chosen[i]);
    CHECK(WIFSIGNALED(wait_for(pid)));
  }
  if ((pid = OK(fork())) == 0)
    jump((uintptr_t)data);
  CHECK(WIFSIGNALED(wait_for(pid)));
  for (int i = 0; i < 150; i++) { /* near and in our own text, at any byte */
    uintptr_t to = (uintptr_t)main - 20000 + rnd(&seed) % 40000;
    if ((pid = OK(fork())) == 0) {
      OK(setsid());
      if (geteuid() == 0)
        OK(setuid(1000)); /* whatever it runs, it cannot signal us */
      jump(to);
    }
    wait_for(pid);
  }
  return done();
}
