/* SPDX-License-Identifier: MIT */
/* The tests that run under the sanitizers; --seeds DIR writes what the fuzzer starts from. */
#include "snippet.h"
#include "test.h"
#include <string.h>

unsigned passed, failed;

static int write_seeds(const char *directory) {
  for (const struct snippet *s = accept_cases; s < accept_end; s++) {
    char path[512];
    snprintf(path, sizeof path, "%s/accept-%03u", directory, (unsigned)(s - accept_cases));
    FILE *f = fopen(path, "wb");
    if (!f || fwrite(s->start, snippet_size(s), 1, f) != 1 || fclose(f) != 0) {
      perror(path);
      return 1;
    }
  }
  return 0;
}

int main(int argc, char **argv) {
  if (argc == 3 && strcmp(argv[1], "--seeds") == 0)
    return write_seeds(argv[2]);
  test_cases();
  test_sequences();
  test_elf();
  printf("verifier: %u passed, %u failed\n", passed, failed);
  return failed != 0;
}
