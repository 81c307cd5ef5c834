/* SPDX-License-Identifier: MIT */
/* Assertions and the log. A failed assertion is a bug of the kernel: the instance ends. */
#ifndef UFORK_KERNEL_PANIC_H
#define UFORK_KERNEL_PANIC_H

#include "lib/fmt.h"
#include "lib/types.h"

_Noreturn void kassert_failed(const char *file, int line, const char *cond);
_Noreturn void kpanic(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* For what only a bug of ours can break; never for user input. Always compiled in. */
#define kassert(cond)                                                                              \
  do {                                                                                             \
    if (unlikely(!(cond)))                                                                         \
      kassert_failed(__FILE__, __LINE__, #cond);                                                   \
  } while (0)

/* One line to the platform's log, "ufork: " before it and a newline after it. Any context. */
void klog(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
