/* SPDX-License-Identifier: MIT */
/* Unit tests that end at the first failure: it is printed, and the status is 1. */
#ifndef UFORK_TEST_CHECK_ONCE_H
#define UFORK_TEST_CHECK_ONCE_H

#include <stdio.h>
#include <unistd.h>

#define CHECK(cond)                                                                                \
  do {                                                                                             \
    if (!(cond)) {                                                                                 \
      printf("FAIL %s:%d: %s\n", __FILE__, __LINE__, #cond);                                       \
      fflush(stdout);                                                                              \
      _exit(1);                                                                                    \
    }                                                                                              \
  } while (0)

#endif
