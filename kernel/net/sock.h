/* SPDX-License-Identifier: MIT */
/*
 * Sockets: the layer between the system calls and a protocol. Unix sockets are implemented in the
 * core (ipc/unix.c), AF_INET and AF_INET6 by the platform (plat_sock_create). A sock belongs to one
 * file. Addresses are kernel copies in Linux's sockaddr layout.
 */
#ifndef UFORK_KERNEL_SOCK_H
#define UFORK_KERNEL_SOCK_H

#include "kernel/fs/file.h"

#define SOCKADDR_MAX 128

struct msg {
  struct uio *data;
  u8 *addr;     /* SOCKADDR_MAX bytes or NULL */
  u32 addr_len; /* in: of the address to send to; out: of the sender's */
  u32 flags;    /* in: MSG_* of the call; out: MSG_TRUNC... */
  u8 *control;  /* ancillary data, kernel copy; may be NULL */
  u32 control_len, control_cap;
};

struct sock_ops {
  int (*bind)(struct sock *s, const u8 *addr, u32 len);
  int (*listen)(struct sock *s, int backlog);
  /* Blocks unless nonblock; -EAGAIN. *out has one reference (a sock without a file yet). */
  int (*accept)(struct sock *s, bool nonblock, struct sock **out, u8 *addr, u32 *len);
  int (*connect)(struct sock *s, const u8 *addr, u32 len, bool nonblock);
  int (*getname)(struct sock *s, bool peer, u8 *addr, u32 *len);
  i64 (*send)(struct sock *s, struct msg *m, bool nonblock);
  i64 (*recv)(struct sock *s, struct msg *m, bool nonblock);
  int (*shutdown)(struct sock *s, int how);
  int (*setsockopt)(struct sock *s, int level, int name, const void *val,
                    u32 len); /* kernel copy */
  int (*getsockopt)(struct sock *s, int level, int name, void *val, u32 *len);
  i64 (*ioctl)(struct sock *s, u32 cmd, u64 arg);
  u32 (*poll)(struct sock *s, struct poller *p);
  void (*release)(struct sock *s);
};

struct sock {
  const struct sock_ops *ops;
  int domain, type, protocol;
  struct waitq wait; /* wake with POLL* events */
  void *priv;
};

#endif
