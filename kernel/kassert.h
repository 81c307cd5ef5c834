/* SPDX-License-Identifier: MIT */
/* For what only a bug of ours can break: stops the instance with file, line and condition. */
#ifndef UFORK_KERNEL_KASSERT_H
#define UFORK_KERNEL_KASSERT_H

#include "kernel/plat.h"

#define KASSERT_STR_(x) #x
#define KASSERT_STR(x) KASSERT_STR_(x)
#define kassert(cond)                                                                              \
  do {                                                                                             \
    if (unlikely(!(cond)))                                                                         \
      plat_panic(__FILE__ ":" KASSERT_STR(__LINE__) ": " #cond);                                   \
  } while (0)

#endif
