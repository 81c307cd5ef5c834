/* SPDX-License-Identifier: MIT */
/*
 * User memory: the copies of entry.S, repeated where the missing page can be made to appear. The
 * platform (cpu.h) says how: user_begin and user_end enclose accesses, user_page brings a page.
 */
#include "cpu.h" /* the platform's */
#include "kernel/errno.h"

/* A page may vanish again between two tries (another thread), but not for ever. */
#define TRIES 8

/* Bytes that a copy had done when it met a page that was missing at addr, on either side. */
static size_t progress(u64 addr, const void *dst, const void *src, size_t n) {
  u64 at = addr - (u64)src < n ? addr - (u64)src : addr - (u64)dst < n ? addr - (u64)dst : 0;
  return at & ~7UL; /* small copies move words */
}

static int copy(char *dst, const char *src, size_t n, const void *user, bool write) {
  struct region *foreign = user_begin(user);
  int err = 0;
  for (int tries = TRIES;; tries--) {
    struct copy_result c = uf_copy(dst, src, n);
    if (likely(c.err == 0))
      break;
    if (tries == 0 || !user_page(foreign, c.addr, write)) {
      err = -EFAULT;
      break;
    }
    size_t done = progress(c.addr, dst, src, n);
    dst += done;
    src += done;
    n -= done;
    if (done)
      tries = TRIES;
  }
  user_end(foreign);
  return err;
}

int plat_copy_in(void *dst, const void *user, size_t n) { return copy(dst, user, n, user, false); }
int plat_copy_out(void *user, const void *src, size_t n) { return copy(user, src, n, user, true); }

int plat_user_load32(const void *user, u32 *v) {
  for (int tries = TRIES;; tries--) {
    struct copy_result c = uf_load32(user, v);
    if (likely(c.err == 0))
      return 0;
    if (tries == 0 || !user_page(NULL, c.addr, false))
      return -EFAULT;
  }
}

int plat_user_cmpxchg32(void *user, u32 old, u32 new_, u32 *seen) {
  for (int tries = TRIES;; tries--) {
    struct copy_result c = uf_cmpxchg32(user, old, new_, seen);
    if (likely(c.err == 0))
      return 0;
    if (tries == 0 || !user_page(NULL, c.addr, true))
      return -EFAULT;
  }
}
