/* SPDX-License-Identifier: MIT */
/* Scatter/gather transfers between the kernel and user memory (or kernel memory, same code). */
#include "include/ufork/abi.h"
#include "kernel/errno.h"
#include "kernel/mm/kmalloc.h"
#include "kernel/mm/usercopy.h"
#include "lib/string.h"

#define IOV_MAX 1024
#define RW_MAX (INT32_MAX & PAGE_MASK) /* bytes of one transfer, as Linux limits it */
#define USER_MAX ((u64)1 << 47)        /* a longer buffer is nonsense on any x86-64 */

static void uio_init(struct uio *u, bool kernel) {
  u->segs = u->inline_segs;
  u->count = 0;
  u->at = 0;
  u->seg_off = 0;
  u->left = 0;
  u->kernel = kernel;
}

static void uio_init_one(struct uio *u, u64 base, u64 len, bool kernel) {
  uio_init(u, kernel);
  u->inline_segs[0].base = base;
  u->inline_segs[0].len = len;
  u->count = 1;
  u->left = len;
}

void uio_init_kernel(struct uio *u, void *buf, u64 len) { uio_init_one(u, (u64)buf, len, true); }

/* A buffer may be declared longer than the region's rest (read(fd, p, INT_MAX) is common): the
   transfer is cut there, as it would be at the first unmapped page. */
int uio_init_user(struct uio *u, u64 uaddr, u64 len) {
  if (len > USER_MAX || (len != 0 && uaddr >= UF_REGION_SIZE))
    return -EFAULT;
  if (len != 0)
    len = min_u64(min_u64(len, RW_MAX), UF_REGION_SIZE - uaddr);
  uio_init_one(u, uaddr, len, false);
  return 0;
}

static int check_segs(struct uio *u) {
  for (unsigned i = 0; i < u->count; i++) {
    struct user_iov *v = &u->segs[i];
    if ((i64)v->len < 0)
      return -EINVAL;
    if (v->len != 0 && user_range(v->base, v->len) == NULL)
      return -EFAULT;
    v->len = min_u64(v->len, RW_MAX - u->left);
    u->left += v->len;
  }
  return 0;
}

int uio_init_iovec(struct uio *u, u64 iov_uaddr, u64 count) {
  uio_init(u, false);
  if (count > IOV_MAX)
    return -EINVAL;
  if (count > UIO_INLINE) {
    u->segs = kmalloc(count * sizeof *u->segs);
    if (u->segs == NULL)
      return -ENOMEM;
  }
  int err = copy_from_user(u->segs, iov_uaddr, count * sizeof *u->segs);
  u->count = count;
  if (err == 0)
    err = check_segs(u);
  if (err)
    uio_destroy(u);
  return err;
}

void uio_destroy(struct uio *u) {
  if (u->segs != u->inline_segs)
    kfree(u->segs);
  u->segs = u->inline_segs;
  u->count = 0;
  u->left = 0;
}

void uio_advance(struct uio *u, size_t n) {
  u->left -= n;
  u->seg_off += n;
  while (u->at < u->count && u->seg_off >= u->segs[u->at].len) {
    u->seg_off -= u->segs[u->at].len;
    u->at++;
  }
}

/* Base and length of what is left of the current segment; skips empty ones. */
static bool current_seg(struct uio *u, u64 *base, u64 *len) {
  uio_advance(u, 0);
  if (u->left == 0 || u->at >= u->count)
    return false;
  *base = u->segs[u->at].base + u->seg_off;
  *len = min_u64(u->segs[u->at].len - u->seg_off, u->left);
  return true;
}

void *uio_piece(struct uio *u, size_t *n) {
  u64 base, len;
  *n = 0;
  if (!current_seg(u, &base, &len))
    return NULL;
  *n = len;
  return u->kernel ? (void *)base : user_range(base, len);
}

static int copy_once(const struct uio *u, u64 base, void *buf, size_t n, bool out) {
  if (u->kernel) {
    memcpy(out ? (void *)base : buf, out ? buf : (void *)base, n);
    return 0;
  }
  return out ? copy_to_user(base, buf, n) : copy_from_user(buf, base, n);
}

/* Bytes copied of n; less than n only if the next page is not there. */
static size_t copy_piece(const struct uio *u, u64 base, void *buf, size_t n, bool out) {
  if (likely(copy_once(u, base, buf, n, out) == 0))
    return n;
  size_t done = 0;
  while (done < n) {
    size_t k = min_u64(n - done, PAGE_SIZE - ((base + done) & (PAGE_SIZE - 1)));
    if (copy_once(u, base + done, (char *)buf + done, k, out) != 0)
      break;
    done += k;
  }
  return done;
}

/* Most transfers lie in one segment and succeed at once. True if all n bytes were copied. */
static inline bool transfer_at_once(struct uio *u, void *buf, size_t n, bool out) {
  struct user_iov *v = &u->segs[u->at];
  if (u->at >= u->count || n > u->left || n > v->len - u->seg_off || n == 0 ||
      copy_once(u, v->base + u->seg_off, buf, n, out) != 0)
    return false;
  u->left -= n;
  u->seg_off += n;
  return true;
}

static i64 transfer(struct uio *u, void *buf, size_t n, bool out) {
  if (likely(transfer_at_once(u, buf, n, out)))
    return (i64)n;
  size_t done = 0;
  u64 base, len;
  while (done < n && current_seg(u, &base, &len)) {
    size_t want = min_u64(len, n - done);
    size_t got = copy_piece(u, base, (char *)buf + done, want, out);
    uio_advance(u, got);
    done += got;
    if (got < want)
      return done > 0 ? (i64)done : -EFAULT;
  }
  return (i64)done;
}

i64 uio_write_to(struct uio *u, const void *buf, size_t n) {
  return transfer(u, (void *)buf, n, true);
}

i64 uio_read_from(struct uio *u, void *buf, size_t n) { return transfer(u, buf, n, false); }
