/* SPDX-License-Identifier: MIT */
/* User memory: the copies of entry.S, repeated where the core can make the missing page appear. */
#include "kernel/errno.h"
#include "plat/x86/entry.h"

/* A page may vanish again between two tries (another thread), but not for ever. */
#define TRIES(n) ((n) / PAGE_SIZE + 8)

int plat_copy_in(void *dst, const void *user, size_t n) {
  for (size_t tries = TRIES(n);; tries--) {
    struct copy_result c = uf_copy(dst, user, n);
    if (likely(c.err == 0))
      return 0;
    if (tries == 0 || !user_fault(c.addr, false))
      return -EFAULT;
  }
}

int plat_copy_out(void *user, const void *src, size_t n) {
  for (size_t tries = TRIES(n);; tries--) {
    struct copy_result c = uf_copy(user, src, n);
    if (likely(c.err == 0))
      return 0;
    if (tries == 0 || !user_fault(c.addr, true))
      return -EFAULT;
  }
}

int plat_user_load32(const void *user, u32 *v) {
  for (size_t tries = TRIES(0);; tries--) {
    struct copy_result c = uf_load32(user, v);
    if (likely(c.err == 0))
      return 0;
    if (tries == 0 || !user_fault(c.addr, false))
      return -EFAULT;
  }
}

int plat_user_cmpxchg32(void *user, u32 old, u32 new_, u32 *seen) {
  for (size_t tries = TRIES(0);; tries--) {
    struct copy_result c = uf_cmpxchg32(user, old, new_, seen);
    if (likely(c.err == 0))
      return 0;
    if (tries == 0 || !user_fault(c.addr, true))
      return -EFAULT;
  }
}
