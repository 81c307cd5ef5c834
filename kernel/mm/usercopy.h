/* SPDX-License-Identifier: MIT */
/*
 * The only way for the core to reach user memory. User addresses are region offsets (u64 as they
 * came in a register): anything at or above 4 GiB, or a range that leaves the region, is -EFAULT.
 * Faults that the platform or the stack's growth can resolve are resolved (may sleep): thread
 * context, no spinlocks held.
 */
#ifndef UFORK_KERNEL_USERCOPY_H
#define UFORK_KERNEL_USERCOPY_H

#include "include/ufork/abi.h"
#include "kernel/sched/lock_check.h"
#include "kernel/thread.h"
#include "lib/types.h"
#include "plat_user.h" /* the platform's */

/* Does a range of user addresses lie in the region? The null guard and the numbers of the text
   window do not. */
static inline bool user_range_ok(u64 uaddr, u64 n) {
  if (__builtin_constant_p(n) && n <= UF_REGION_SIZE - UF_DATA_LO)
    return uaddr - UF_DATA_LO <= UF_REGION_SIZE - UF_DATA_LO - n;
  return uaddr >= UF_DATA_LO && uaddr <= UF_REGION_SIZE && n <= UF_REGION_SIZE - uaddr;
}
/* The absolute address of a user address of the running thread's. */
static inline void *user_address(u64 uaddr) { return (void *)(thread_current()->tcb_base + uaddr); }

int copy_from_user(void *dst, u64 uaddr, size_t n); /* 0 or -EFAULT */
int copy_to_user(u64 uaddr, const void *src, size_t n);
int user_store64(u64 uaddr, u64 v);
int user_store128(u64 uaddr, u64 first, u64 second);
/* The same for a few bytes, without a function's overhead. */
static inline int user_get(void *dst, u64 uaddr, size_t n) {
  lock_check_user();
  bool done = user_range_ok(uaddr, n) && plat_copy_try(dst, user_address(uaddr), n) == 0;
  return likely(done) ? 0 : copy_from_user(dst, uaddr, n);
}
static inline int user_put(u64 uaddr, const void *src, size_t n) {
  lock_check_user();
  bool done = user_range_ok(uaddr, n) && plat_copy_try(user_address(uaddr), src, n) == 0;
  return likely(done) ? 0 : copy_to_user(uaddr, src, n);
}
/* The same for a word. */
static inline int user_put64(u64 uaddr, u64 v) {
  lock_check_user();
  bool done = user_range_ok(uaddr, sizeof v) && plat_try_store64(user_address(uaddr), v) == 0;
  return likely(done) ? 0 : user_store64(uaddr, v);
}
/* Two words. */
static inline int user_put128(u64 uaddr, u64 first, u64 second) {
  lock_check_user();
  bool done = user_range_ok(uaddr, 16) && plat_try_store64(user_address(uaddr), first) == 0 &&
              plat_try_store64(user_address(uaddr + 8), second) == 0;
  return likely(done) ? 0 : user_store128(uaddr, first, second);
}
/* A word, without a call: false where copy_from_user is to find out what is the matter. */
static inline bool user_try_get64(u64 uaddr, u64 *v) {
  lock_check_user();
  return user_range_ok(uaddr, sizeof *v) && plat_try_load64(user_address(uaddr), v) == 0;
}
int clear_user(u64 uaddr, size_t n);

/* A NUL-terminated string into dst: its length, -EFAULT, or -ENAMETOOLONG if it does not fit. */
i64 copy_string_from_user(char *dst, u64 uaddr, size_t size);

/* Absolute address of a checked range, for I/O that the platform does directly on user memory (host
   reads and writes, which return -EFAULT by themselves). NULL if the range leaves the region. The
   memory may still be absent: on -EFAULT call user_populate and try once more. */
void *user_range(u64 uaddr, size_t n);
/* Makes absent stack pages of the range present; 0 or -EFAULT. */
int user_populate(u64 uaddr, size_t n, bool write);

int user_load32(u64 uaddr, u32 *v);
int user_store32(u64 uaddr, u32 v);
int user_cmpxchg32(u64 uaddr, u32 old, u32 new_, u32 *seen);

/* Scatter/gather: an iovec array of user space, copied in and checked (IOV_MAX 1024, total at most
   INT32_MAX rounded to a page like Linux). `segs` is on the caller's stack for small counts, else
   allocated. */
struct user_iov {
  u64 base, len;
};
#define UIO_INLINE 8
struct uio {
  struct user_iov *segs;
  unsigned count, at; /* segments, current one */
  u64 seg_off;        /* consumed bytes of the current one */
  u64 left;           /* bytes in all still to transfer */
  bool kernel;        /* addresses are kernel pointers (internal reads) */
  struct user_iov inline_segs[UIO_INLINE];
};
int uio_init_user(struct uio *u, u64 uaddr, u64 len); /* one buffer */
int uio_init_iovec(struct uio *u, u64 iov_uaddr, u64 count);
void uio_init_kernel(struct uio *u, void *buf, u64 len);
void uio_destroy(struct uio *u);
/* Copies up to n bytes between buf and the uio's position and advances. Bytes copied (short only at
   the end of the uio), or -EFAULT if nothing could be copied. */
i64 uio_write_to(struct uio *u, const void *buf, size_t n); /* kernel -> user (read calls) */
i64 uio_read_from(struct uio *u, void *buf, size_t n);      /* user -> kernel (write calls) */
/* The current contiguous piece as an absolute address (user_range applied), for direct I/O;
   uio_advance after. */
void *uio_piece(struct uio *u, size_t *n);
void uio_advance(struct uio *u, size_t n);

#endif
