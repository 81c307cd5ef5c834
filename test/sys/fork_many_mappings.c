/* SPDX-License-Identifier: MIT */
/*
 * Children with 40 mappings each, until there are 2,000 of them or the system refuses (a host has a
 * limit for the mappings of all). Refused is a fork, with ENOMEM or EAGAIN; those that live have
 * what they should, and when they have gone, as many fit again.
 */
/* test: timeout=120 */
#include "check.h"
#include <sys/mman.h>

enum { MAX = 2000, MAPPINGS = 40, PAGE = 4096 };

static pid_t pids[MAX];
static char *at[MAPPINGS];

static void map_all(void) {
  char *all = OK(mmap(NULL, 2 * MAPPINGS * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  for (int i = 0; i < MAPPINGS; i++) {
    at[i] = all + 2 * i * PAGE;
    OK(mprotect(at[i], PAGE, PROT_READ | PROT_WRITE));
    at[i][0] = (char)i;
    if (i % 2)
      OK(mprotect(at[i], PAGE, PROT_READ));
  }
}

static _Noreturn void child(int i, int gate, int answers) {
  char end;
  at[i % MAPPINGS & ~1][1] = (char)i;
  EXPECT(read(gate, &end, 1), 0);
  for (int k = 0; k < MAPPINGS; k++)
    EXPECT(at[k][0], k);
  EXPECT(at[i % MAPPINGS & ~1][1], (char)i);
  EXPECT(write(answers, "!", 1), 1);
  _exit(0);
}

static int fill(void) {
  int gate[2], back[2], n = 0;
  OK(pipe(gate)), OK(pipe(back));
  while (n < MAX && (pids[n] = fork()) != -1) {
    if (pids[n] == 0) {
      OK(close(gate[1]));
      child(n, gate[0], back[1]);
    }
    n++;
  }
  CHECK(n == MAX || errno == ENOMEM || errno == EAGAIN);
  OK(close(gate[1]));
  for (int i = 0; i < n; i++)
    await(back[0]);
  for (int i = 0; i < n; i++)
    EXPECT_EXIT(pids[i], 0);
  OK(close(gate[0])), OK(close(back[0])), OK(close(back[1]));
  return n;
}

int main(void) {
  map_all();
  int n = fill();
  CHECK(n >= 500);
  CHECK(fill() >= n - n / 20);
  CHECK(fill() >= n - n / 20);
  return done();
}
