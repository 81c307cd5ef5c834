/* SPDX-License-Identifier: MIT */
/*
 * User memory: the copies of entry.S, repeated where the missing page can be made to appear. The
 * platform (cpu.h) says how: user_begin and user_end enclose accesses, user_page brings a page.
 */
#include "cpu.h" /* the platform's */
#include "kernel/errno.h"

/* A page may vanish again between two tries (another thread), but not for ever. */
#define TRIES(n) ((n) / PAGE_SIZE + 8)

/* Repeats `call` (a struct copy_result) on user address `user`. */
#define RETRIED(user, n, write, call)                                                              \
  ({                                                                                               \
    struct region *foreign_ = user_begin(user);                                                    \
    int err_ = 0;                                                                                  \
    for (size_t tries_ = TRIES(n);; tries_--) {                                                    \
      struct copy_result c_ = (call);                                                              \
      if (likely(c_.err == 0))                                                                     \
        break;                                                                                     \
      if (tries_ == 0 || !user_page(foreign_, c_.addr, write)) {                                   \
        err_ = -EFAULT;                                                                            \
        break;                                                                                     \
      }                                                                                            \
    }                                                                                              \
    user_end(foreign_);                                                                            \
    err_;                                                                                          \
  })

int plat_copy_in(void *dst, const void *user, size_t n) {
  return RETRIED(user, n, false, uf_copy(dst, user, n));
}

int plat_copy_out(void *user, const void *src, size_t n) {
  return RETRIED(user, n, true, uf_copy(user, src, n));
}

int plat_user_load32(const void *user, u32 *v) {
  return RETRIED(user, 0, false, uf_load32(user, v));
}

int plat_user_cmpxchg32(void *user, u32 old, u32 new_, u32 *seen) {
  return RETRIED(user, 0, true, uf_cmpxchg32(user, old, new_, seen));
}
