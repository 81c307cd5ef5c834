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
  /* See file_ops.send_file; may be NULL. */
  i64 (*send_file)(struct sock *s, struct file *in, u64 *pos, u64 n, bool nonblock);
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

/* An open file for s, which it takes over (ops->release when the file goes). flags: SOCK_NONBLOCK
   as O_NONBLOCK. NULL: no memory, s still belongs to the caller. net/socket.c. */
struct file *sock_file_create(struct sock *s, u32 flags);
/* The sock behind an open file, or NULL if it is none. */
struct sock *sock_of_file(struct file *f);
/* The value of SO_RCVTIMEO or SO_SNDTIMEO (a struct timeval, kernel copy) in nanoseconds, 0: none.
   -EINVAL, -EDOM. */
int sock_timeout(u64 *timeout, const void *val, u32 len);

/* AF_UNIX: ipc/unix.c. */
int unix_sock_create(int type, int protocol, struct sock **out);
int unix_sock_pair(int type, struct sock *out[2]);

/* MSG_* and option numbers of Linux that more than one file needs. */
#define AF_UNIX 1
#define AF_INET 2
#define AF_INET6 10
#define SOCK_STREAM 1
#define SOCK_DGRAM 2
#define SOCK_SEQPACKET 5
#define SOCK_TYPE_MASK 0xf
#define SOCK_CLOEXEC O_CLOEXEC
#define SOCK_NONBLOCK O_NONBLOCK
#define MSG_OOB 1u
#define MSG_PEEK 2u
#define MSG_CTRUNC 8u
#define MSG_TRUNC 0x20u
#define MSG_DONTWAIT 0x40u
#define MSG_EOR 0x80u
#define MSG_WAITALL 0x100u
#define MSG_NOSIGNAL 0x4000u
#define MSG_CMSG_CLOEXEC 0x40000000u
#define SOL_SOCKET 1

#endif
