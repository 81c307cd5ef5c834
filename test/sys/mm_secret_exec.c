/* SPDX-License-Identifier: MIT */
/* exec starts with clean memory: nothing that the process held before is found in it. */
#include "check.h"
#include <sys/mman.h>

static char bss[1 << 20];
static volatile uint64_t parts[2] = {0xfeedface, 0xdeadc0de};

static uint64_t secret(void) { return parts[0] << 32 | parts[1]; }

int main(int argc, char **argv) {
  char *m =
      OK((char *)mmap(NULL, 8 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  char stack[100000];
  char *areas[] = {bss, m, stack, malloc(1 << 20)};
  size_t sizes[] = {sizeof bss, 8 << 20, sizeof stack, 1 << 20};
  int round = argc > 1 ? atoi(argv[1]) : 0;
  for (int a = 0; a < 4; a++)
    for (size_t i = 0; i < sizes[a]; i += 8) {
      CHECK(*(volatile uint64_t *)(areas[a] + i) != secret());
      *(volatile uint64_t *)(areas[a] + i) = secret();
    }
  if (round == 10)
    return done();
  char next[20];
  sprintf(next, "%d", round + 1);
  execv("/proc/self/exe", (char *[]){argv[0], next, NULL});
  CHECK(!"exec returned");
}
