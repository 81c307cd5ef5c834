/* SPDX-License-Identifier: MIT */
/* Shared by the files of kernel/net. */
#ifndef UFORK_KERNEL_SOCKET_H
#define UFORK_KERNEL_SOCKET_H

#include "kernel/net/sock.h"

/* File and sock of a descriptor, with a reference on the file; NULL: *err is -EBADF or -ENOTSOCK.
 */
struct file *sock_fd_get(int fd, struct sock **s, int *err);

/* ops->send with the file's blocking mode; raises SIGPIPE as the flags say. */
i64 sock_send(struct file *f, struct msg *m);

/* Copies an address of user space to a buffer of SOCKADDR_MAX bytes, the rest zeroed: -EINVAL (too
 * long), -EFAULT. */
int sockaddr_get(u8 *addr, u64 uaddr, u64 len);
/* Stores as much of an address as fits, and its full length, as accept and recvfrom do. uaddr 0:
 * nothing. */
int sockaddr_put(const u8 *addr, u32 len, u64 uaddr, u64 len_uaddr);

#endif
