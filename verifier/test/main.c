/* SPDX-License-Identifier: MIT */
/* The tests that run under the sanitizers. */
#include "test.h"

unsigned passed, failed;

int main(void) {
  test_cases();
  test_sequences();
  test_elf();
  printf("verifier: %u passed, %u failed\n", passed, failed);
  return failed != 0;
}
