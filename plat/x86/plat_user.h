/* SPDX-License-Identifier: MIT */
/* User memory; entry.S uses nothing but these registers, so that callers keep theirs. */
#ifndef UFORK_X86_PLAT_USER_H
#define UFORK_X86_PLAT_USER_H

static inline int plat_copy_try(void *dst, const void *src, size_t n) {
  int err;
  __asm__ volatile("call uf_copy"
                   : "=a"(err), "+D"(dst), "+S"(src), "+d"(n)
                   :
                   : "rcx", "memory", "cc");
  return err;
}

static inline int plat_try_load64(const void *user, u64 *v) {
  int err;
  __asm__ volatile("call uf_try_load64" : "=a"(err), "=d"(*v) : "D"(user) : "memory", "cc");
  return err;
}

static inline int plat_try_store64(void *user, u64 v) {
  int err;
  __asm__ volatile("call uf_try_store64" : "=a"(err), "+d"(v) : "D"(user) : "memory", "cc");
  return err;
}

#endif
