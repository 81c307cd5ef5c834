/* SPDX-License-Identifier: MIT */
/* Counting checks: each test file has one entry point, main.c prints the sum. */
#ifndef UF_VERIFIER_TEST_H
#define UF_VERIFIER_TEST_H

#include <stdbool.h>
#include <stdio.h>

extern unsigned passed, failed;

/* Counts one check; prints the message (printf-like) if it fails. */
#define CHECK(condition, ...)                                                                      \
  do {                                                                                             \
    if (condition) {                                                                               \
      passed++;                                                                                    \
    } else {                                                                                       \
      failed++;                                                                                    \
      printf("%s:%d: ", __FILE__, __LINE__);                                                       \
      printf(__VA_ARGS__);                                                                         \
      putchar('\n');                                                                               \
    }                                                                                              \
  } while (0)

void test_cases(void);
void test_sequences(void);
void test_elf(void);

#endif
