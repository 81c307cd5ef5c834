/* SPDX-License-Identifier: MIT */
/* The tests are about the longer way. */
#ifndef UFORK_FAKE_PLAT_USER_H
#define UFORK_FAKE_PLAT_USER_H

#include "kernel/errno.h"

int plat_copy_try(void *dst, const void *src, size_t n); /* the test's own */

static inline int plat_try_load64(const void *user, u64 *v) {
  (void)user;
  *v = 0;
  return -EFAULT;
}

static inline int plat_try_store64(void *user, u64 v) {
  (void)user, (void)v;
  return -EFAULT;
}

#endif
