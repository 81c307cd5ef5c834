// SPDX-License-Identifier: MIT
/* Unit tests of ufaas: what its parts do with bytes. Run under the sanitizers. */
#ifndef UFAAS_UNIT_H
#define UFAAS_UNIT_H

#include <stdio.h>
#include <stdlib.h>

/* Ends the program with a message unless `condition` holds. */
#define check(condition, ...)                                                                      \
  do {                                                                                             \
    if (!(condition)) {                                                                            \
      fprintf(stderr, "%s:%d: %s: ", __FILE__, __LINE__, #condition);                              \
      fprintf(stderr, __VA_ARGS__);                                                                \
      fputc('\n', stderr);                                                                         \
      exit(1);                                                                                     \
    }                                                                                              \
  } while (0)

void test_text(void);
void test_config(void);
void test_http(void);
void test_rapi(void);
void test_timers(void);

#endif
