/* SPDX-License-Identifier: MIT */
/* Unit tests: `ok` and `FAIL` lines, then "NAME: N passed, N failed". */
#ifndef UFORK_TEST_CHECK_H
#define UFORK_TEST_CHECK_H

#include <stdio.h>

static int check_passed, check_failed;
static int check_bad; /* failures of the current test */

#define CHECK(cond)                                                                                \
  do {                                                                                             \
    if (!(cond)) {                                                                                 \
      printf("  %s:%d: %s\n", __FILE__, __LINE__, #cond);                                          \
      check_bad++;                                                                                 \
    }                                                                                              \
  } while (0)

#define TEST(f)                                                                                    \
  do {                                                                                             \
    check_bad = 0;                                                                                 \
    f();                                                                                           \
    printf("%s %s\n", check_bad ? "FAIL" : "ok", #f);                                              \
    fflush(stdout);                                                                                \
    *(check_bad ? &check_failed : &check_passed) += 1;                                             \
  } while (0)

static inline int check_summary(const char *name) {
  printf("%s: %d passed, %d failed\n", name, check_passed, check_failed);
  return check_failed != 0;
}

#endif
