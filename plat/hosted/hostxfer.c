/* SPDX-License-Identifier: MIT */
#include "plat/hosted/hostxfer.h"

/* Segment i of u without what is consumed of it. */
static struct user_iov rest_of(const struct uio *u, unsigned i) {
  struct user_iov v = u->segs[i];
  if (i == u->at) {
    v.base += u->seg_off;
    v.len -= min_u64(u->seg_off, v.len);
  }
  return v;
}

int host_iov(struct uio *u, struct lx_iovec iov[HOST_IOV_MAX], size_t limit) {
  int n = 0;
  u64 left = min_u64(u->left, limit);
  for (unsigned i = u->at; i < u->count && n < HOST_IOV_MAX && left > 0; i++) {
    struct user_iov v = rest_of(u, i);
    v.len = min_u64(v.len, left);
    if (v.len == 0)
      continue;
    void *p = u->kernel ? (void *)v.base : user_range(v.base, v.len);
    if (!p)
      return n > 0 ? n : -EFAULT;
    iov[n++] = (struct lx_iovec){p, v.len};
    left -= v.len;
  }
  return n;
}

int host_iov_populate(struct uio *u, size_t limit, bool write) {
  if (u->kernel)
    return -EFAULT;
  u64 left = min_u64(u->left, limit);
  for (unsigned i = u->at; i < u->count && left > 0; i++) {
    struct user_iov v = rest_of(u, i);
    v.len = min_u64(v.len, left);
    if (v.len && user_populate(v.base, v.len, write) < 0)
      return -EFAULT;
    left -= v.len;
  }
  return 0;
}
