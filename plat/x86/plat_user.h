/* SPDX-License-Identifier: MIT */
/* One word of user memory for brief calls: nothing but these registers is used (entry.S). */
#ifndef UFORK_X86_PLAT_USER_H
#define UFORK_X86_PLAT_USER_H

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
