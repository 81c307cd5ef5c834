/* SPDX-License-Identifier: MIT */
/* The system calls that send and receive. */
#include "kernel/mm/kmalloc.h"
#include "kernel/net/socket.h"
#include "kernel/syscall/syscall.h"
#include "kernel/time/clock.h"
#include "lib/string.h"

#define CONTROL_MAX 4096 /* ancillary data of one message */
#define MMSG_MAX 1024

/* ---- send, recv ------------------------------------------------------------------------ */

i64 sys_sendto(struct uregs *r) {
  u8 addr[SOCKADDR_MAX];
  struct sock *s;
  struct uio u;
  int err;
  struct file *f = sock_fd_get((int)r->rdi, &s, &err);
  if (!f)
    return err;
  struct msg m = {.data = &u, .flags = (u32)r->r10};
  i64 ret = uio_init_user(&u, r->rsi, r->rdx);
  if (!ret && r->r8) {
    m.addr = addr;
    m.addr_len = (u32)r->r9;
    ret = sockaddr_get(addr, r->r8, (u32)r->r9);
  }
  if (!ret)
    ret = sock_send(f, &m);
  file_put(f);
  return ret;
}

i64 sys_recvfrom(struct uregs *r) {
  u8 addr[SOCKADDR_MAX];
  struct sock *s;
  struct uio u;
  int err;
  struct file *f = sock_fd_get((int)r->rdi, &s, &err);
  if (!f)
    return err;
  struct msg m = {.data = &u, .flags = (u32)r->r10, .addr = r->r8 ? addr : NULL};
  i64 ret = uio_init_user(&u, r->rsi, r->rdx);
  if (!ret)
    ret = s->ops->recv(s, &m, (f->flags & O_NONBLOCK) || (r->r10 & MSG_DONTWAIT));
  file_put(f);
  if (ret >= 0 && r->r8 && sockaddr_put(addr, m.addr_len, r->r8, r->r9))
    return -EFAULT;
  return ret;
}

/* ---- struct msghdr --------------------------------------------------------------------- */

struct kmsghdr {
  u64 name;
  u32 namelen, pad;
  u64 iov, iovlen;
  u64 control, controllen;
  i32 flags;
  u32 pad2;
};
#define MSGHDR_NAMELEN offsetof(struct kmsghdr, namelen)
#define MSGHDR_CONTROLLEN offsetof(struct kmsghdr, controllen)
#define MSGHDR_FLAGS offsetof(struct kmsghdr, flags)

/* A message with everything it needs in kernel memory. */
struct kmsg {
  struct kmsghdr h;
  struct msg m;
  struct uio u;
  u8 addr[SOCKADDR_MAX];
};

static int kmsg_init(struct kmsg *k, u64 uaddr, u32 flags) {
  if (copy_from_user(&k->h, uaddr, sizeof k->h))
    return -EFAULT;
  k->m = (struct msg){.data = &k->u, .flags = flags};
  if ((i32)k->h.namelen < 0)
    return -EINVAL;
  return uio_init_iovec(&k->u, k->h.iov, k->h.iovlen);
}

static void kmsg_destroy(struct kmsg *k) {
  kfree(k->m.control);
  uio_destroy(&k->u);
}

static i64 send_one(struct file *f, u64 uaddr, u32 flags) {
  struct kmsg k;
  int err = kmsg_init(&k, uaddr, flags);
  if (err)
    return err;
  i64 ret = 0;
  if (k.h.name && k.h.namelen) {
    k.m.addr = k.addr;
    k.m.addr_len = k.h.namelen;
    ret = sockaddr_get(k.addr, k.h.name, k.h.namelen);
  }
  if (!ret && k.h.controllen > CONTROL_MAX)
    ret = -ENOBUFS;
  if (!ret && k.h.controllen) {
    k.m.control = kmalloc(k.h.controllen);
    k.m.control_len = (u32)k.h.controllen;
    ret = !k.m.control ? -ENOMEM : copy_from_user(k.m.control, k.h.control, k.h.controllen);
  }
  if (!ret)
    ret = sock_send(f, &k.m);
  kmsg_destroy(&k);
  return ret;
}

static i64 recv_store(struct kmsg *k, u64 uaddr) {
  u32 name_room = k->h.namelen;
  u64 control_len = k->m.control_len;
  i32 flags = (i32)(k->m.flags & (MSG_TRUNC | MSG_CTRUNC | MSG_EOR | MSG_OOB));
  if (k->h.name && (copy_to_user(k->h.name, k->addr, min_u64(name_room, k->m.addr_len)) ||
                    copy_to_user(uaddr + MSGHDR_NAMELEN, &k->m.addr_len, 4)))
    return -EFAULT;
  if (control_len && copy_to_user(k->h.control, k->m.control, control_len))
    return -EFAULT;
  if (copy_to_user(uaddr + MSGHDR_CONTROLLEN, &control_len, 8) ||
      copy_to_user(uaddr + MSGHDR_FLAGS, &flags, 4))
    return -EFAULT;
  return 0;
}

static i64 recv_one(struct file *f, struct sock *s, u64 uaddr, u32 flags) {
  struct kmsg k;
  int err = kmsg_init(&k, uaddr, flags);
  if (err)
    return err;
  i64 ret = 0;
  k.m.addr = k.h.name ? k.addr : NULL;
  if (k.h.control && k.h.controllen) {
    k.m.control_cap = (u32)min_u64(k.h.controllen, CONTROL_MAX);
    k.m.control = kzalloc(k.m.control_cap);
    ret = k.m.control ? 0 : -ENOMEM;
  }
  if (!ret)
    ret = s->ops->recv(s, &k.m, (f->flags & O_NONBLOCK) || (flags & MSG_DONTWAIT));
  if (ret >= 0 && recv_store(&k, uaddr))
    ret = -EFAULT;
  kmsg_destroy(&k);
  return ret;
}

i64 sys_sendmsg(struct uregs *r) {
  struct sock *s;
  int err;
  struct file *f = sock_fd_get((int)r->rdi, &s, &err);
  if (!f)
    return err;
  i64 ret = send_one(f, r->rsi, (u32)r->rdx);
  file_put(f);
  return ret;
}

i64 sys_recvmsg(struct uregs *r) {
  struct sock *s;
  int err;
  struct file *f = sock_fd_get((int)r->rdi, &s, &err);
  if (!f)
    return err;
  i64 ret = recv_one(f, s, r->rsi, (u32)r->rdx);
  file_put(f);
  return ret;
}

/* ---- several messages at once ---------------------------------------------------------- */

#define MMSGHDR_SIZE (sizeof(struct kmsghdr) + 8)
#define MSG_WAITFORONE 0x10000u

i64 sys_sendmmsg(struct uregs *r) {
  struct sock *s;
  int err;
  struct file *f = sock_fd_get((int)r->rdi, &s, &err);
  if (!f)
    return err;
  u64 count = min_u64((u32)r->rdx, MMSG_MAX), done = 0;
  i64 ret = 0;
  for (; done < count; done++) {
    u64 at = r->rsi + done * MMSGHDR_SIZE;
    ret = send_one(f, at, (u32)r->r10);
    if (ret < 0)
      break;
    ret = user_store32(at + sizeof(struct kmsghdr), (u32)ret);
    if (ret)
      break;
  }
  file_put(f);
  return done ? (i64)done : ret;
}

i64 sys_recvmmsg(struct uregs *r) {
  struct sock *s;
  int err;
  u64 deadline;
  err = timeout_from_user(r->r8, &deadline);
  if (err)
    return err;
  struct file *f = sock_fd_get((int)r->rdi, &s, &err);
  if (!f)
    return err;
  u64 count = min_u64((u32)r->rdx, MMSG_MAX), done = 0;
  u32 flags = (u32)r->r10;
  i64 ret = 0;
  for (; done < count && (done == 0 || plat_now() < deadline); done++) {
    u64 at = r->rsi + done * MMSGHDR_SIZE;
    bool wait = done == 0 || !(flags & MSG_WAITFORONE);
    ret = recv_one(f, s, at, (flags & ~MSG_WAITFORONE) | (wait ? 0 : MSG_DONTWAIT));
    if (ret < 0)
      break;
    ret = user_store32(at + sizeof(struct kmsghdr), (u32)ret);
    if (ret)
      break;
  }
  file_put(f);
  return done ? (i64)done : ret;
}
