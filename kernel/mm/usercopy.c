/* SPDX-License-Identifier: MIT */
/*
 * User addresses are offsets; a check against the region's size and one addition make them
 * absolute. The platform's copy calls user_fault() when a page is missing, so a failure here is
 * final. The null guard and the numbers of the text window are refused without trying.
 */
#include "kernel/mm/usercopy.h"
#include "kernel/errno.h"
#include "kernel/mm/space.h"
#include "kernel/proc/proc.h"
#include "kernel/sched/lock_check.h"
#include "kernel/thread.h"
#include "lib/string.h"

#define STRING_FIRST 128u /* most strings are short: do not copy a page for them */

/* A page is missing, or the range is wrong. */
static __attribute__((noinline)) int copy_from_user_slow(void *dst, u64 uaddr, size_t n) {
  if (n == 0)
    return 0;
  return user_range_ok(uaddr, n) ? plat_copy_in(dst, user_address(uaddr), n) : -EFAULT;
}

static __attribute__((noinline)) int copy_to_user_slow(u64 uaddr, const void *src, size_t n) {
  if (n == 0)
    return 0;
  return user_range_ok(uaddr, n) ? plat_copy_out(user_address(uaddr), src, n) : -EFAULT;
}

int copy_from_user(void *dst, u64 uaddr, size_t n) {
  lock_check_user();
  if (likely(user_range_ok(uaddr, n) && plat_copy_try(dst, user_address(uaddr), n) == 0))
    return 0;
  return copy_from_user_slow(dst, uaddr, n);
}

int copy_to_user(u64 uaddr, const void *src, size_t n) {
  lock_check_user();
  if (likely(user_range_ok(uaddr, n) && plat_copy_try(user_address(uaddr), src, n) == 0))
    return 0;
  return copy_to_user_slow(uaddr, src, n);
}

int clear_user(u64 uaddr, size_t n) {
  static const char zeros[512];
  while (n > 0) {
    size_t k = min_u64(n, sizeof zeros);
    int err = copy_to_user(uaddr, zeros, k);
    if (err)
      return err;
    uaddr += k;
    n -= k;
  }
  return 0;
}

static u64 to_page_end(u64 uaddr) { return PAGE_SIZE - (uaddr & (PAGE_SIZE - 1)); }

i64 copy_string_from_user(char *dst, u64 uaddr, size_t size) {
  size_t done = 0;
  while (done < size) {
    /* Never across a page: the string may end right before memory that is not there. */
    size_t k = min_u64(size - done, to_page_end(uaddr + done));
    if (done == 0)
      k = min_u64(k, STRING_FIRST);
    int err = copy_from_user(dst + done, uaddr + done, k);
    if (err)
      return err;
    const char *end = memchr(dst + done, 0, k);
    if (end != NULL)
      return end - dst;
    done += k;
  }
  return -ENAMETOOLONG;
}

void *user_range(u64 uaddr, size_t n) {
  if (n == 0)
    return user_address(min_u64(uaddr, UF_REGION_SIZE));
  return user_range_ok(uaddr, n) ? user_address(uaddr) : NULL;
}

int user_populate(u64 uaddr, size_t n, bool write) {
  if (n == 0)
    return 0;
  if (!user_range_ok(uaddr, n))
    return -EFAULT;
  return space_populate(proc_current()->space, uaddr, n, write);
}

bool user_fault(u64 addr, bool write) {
  struct thread *t = thread_current();
  u64 off = addr - t->tcb_base;
  int code;
  return t->proc != NULL && t->region != NULL && off < UF_REGION_SIZE &&
         space_fault(t->proc->space, off, write, &code);
}

/* ---- single words ---------------------------------------------------------------------- */

int user_load32(u64 uaddr, u32 *v) {
  lock_check_user();
  return user_range_ok(uaddr, sizeof *v) ? plat_user_load32(user_address(uaddr), v) : -EFAULT;
}

int user_store32(u64 uaddr, u32 v) { return copy_to_user(uaddr, &v, sizeof v); }

int user_store64(u64 uaddr, u64 v) { return copy_to_user(uaddr, &v, sizeof v); }

int user_store128(u64 uaddr, u64 first, u64 second) {
  u64 v[] = {first, second};
  return copy_to_user(uaddr, v, sizeof v);
}

int user_cmpxchg32(u64 uaddr, u32 old, u32 new_, u32 *seen) {
  lock_check_user();
  return user_range_ok(uaddr, sizeof old)
             ? plat_user_cmpxchg32(user_address(uaddr), old, new_, seen)
             : -EFAULT;
}
