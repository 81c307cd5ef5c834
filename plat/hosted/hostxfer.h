/* SPDX-License-Identifier: MIT */
/* A host transfer directly on the memory that a struct uio describes. */
#ifndef UFORK_HOSTED_HOSTXFER_H
#define UFORK_HOSTED_HOSTXFER_H

#include "kernel/errno.h"
#include "kernel/fs/file.h"
#include "plat/hosted/linux.h"

#define HOST_IOV_MAX 16

/* The next pieces of u as a host iovec, at most `limit` bytes; -EFAULT. Number of pieces. */
int host_iov(struct uio *u, struct lx_iovec iov[HOST_IOV_MAX], size_t limit);
/* Makes absent pages of what host_iov gave present; `write`: the host will write there. */
int host_iov_populate(struct uio *u, size_t limit, bool write);

/*
 * Runs `call` (an expression that uses iov and n_iov) on u until it no longer returns -EINTR; once
 * more after -EFAULT if the missing pages can be made present. Advances u by what was transferred
 * (a datagram's length may be more).
 */
#define HOST_XFER(u, limit, to_user, call)                                                         \
  ({                                                                                               \
    i64 xfer_ret_;                                                                                 \
    for (unsigned xfer_try_ = 0;; xfer_try_++) {                                                   \
      struct lx_iovec iov[HOST_IOV_MAX];                                                           \
      int n_iov = host_iov((u), iov, (limit));                                                     \
      xfer_ret_ = n_iov < 0 ? n_iov : LX_RETRY(call);                                              \
      if (xfer_ret_ != -EFAULT || n_iov < 0 || xfer_try_ > 0 ||                                    \
          host_iov_populate((u), (limit), (to_user)) < 0)                                          \
        break;                                                                                     \
    }                                                                                              \
    if (xfer_ret_ > 0)                                                                             \
      uio_advance((u), min_u64((u64)xfer_ret_, (u)->left));                                        \
    xfer_ret_;                                                                                     \
  })

#endif
