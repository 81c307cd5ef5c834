/* SPDX-License-Identifier: MIT */
/* Sockets as open files, and the system calls that make, name and connect them. */
#include "kernel/net/socket.h"
#include "kernel/fs/vfs.h"
#include "kernel/mm/kmalloc.h"
#include "kernel/net/sock.h"
#include "kernel/proc/proc.h"
#include "kernel/signal/signal.h"
#include "kernel/syscall/syscall.h"
#include "kernel/time/clock.h"
#include "lib/string.h"

/* What a transfer returned; raises SIGPIPE as `flags` say. */
static i64 sent(const struct sock *s, i64 n, u32 flags) {
  if (n == -EPIPE && s->type != SOCK_DGRAM && !(flags & MSG_NOSIGNAL))
    signal_send_thread(thread_current(), SIGPIPE, NULL);
  return n;
}

/* ---- the file -------------------------------------------------------------------------- */

static i64 socket_read(struct file *f, struct uio *u, u64 *pos) {
  struct msg m = {.data = u};
  (void)pos;
  if (u->left == 0)
    return 0;
  struct sock *s = f->priv;
  return s->ops->recv(s, &m, f->flags & O_NONBLOCK);
}

static i64 socket_write(struct file *f, struct uio *u, u64 *pos) {
  struct msg m = {.data = u};
  (void)pos;
  return sock_send(f, &m);
}

static i64 socket_send_file(struct file *f, struct file *in, u64 *pos, u64 n) {
  struct sock *s = f->priv;
  if (!s->ops->send_file)
    return -EOPNOTSUPP;
  return sent(s, s->ops->send_file(s, in, pos, n, f->flags & O_NONBLOCK), 0);
}

static u32 socket_poll(struct file *f, struct poller *p) {
  struct sock *s = f->priv;
  return s->ops->poll(s, p);
}

static i64 socket_ioctl(struct file *f, u32 cmd, u64 arg) {
  struct sock *s = f->priv;
  return s->ops->ioctl ? s->ops->ioctl(s, cmd, arg) : -ENOTTY;
}

/* A sock has no number of its own: its address is as unique, and file->pos is unused. */
static int socket_stat(struct file *f, struct kstat *st) {
  anon_stat(st, f->pos, S_IFSOCK | 0777);
  return 0;
}

static void socket_release(struct file *f) {
  struct sock *s = f->priv;
  s->ops->release(s);
}

static const struct file_ops socket_ops = {
    .name = "socket",
    .read = socket_read,
    .write = socket_write,
    .send_file = socket_send_file,
    .poll = socket_poll,
    .ioctl = socket_ioctl,
    .stat = socket_stat,
    .release = socket_release,
};

struct file *sock_file_create(struct sock *s, u32 flags) {
  struct file *f = file_alloc(&socket_ops, O_RDWR | (flags & O_NONBLOCK), s);
  if (f)
    f->pos = anon_ino(); /* inode number for stat and /proc; sockets have no position */
  return f;
}

int sock_timeout(u64 *timeout, const void *val, u32 len) {
  struct ktimeval tv;
  if (len < sizeof tv)
    return -EINVAL;
  memcpy(&tv, val, sizeof tv);
  if (tv.usec < 0 || tv.usec >= 1000000)
    return -EDOM;
  if (tv.sec < 0) {
    *timeout = 1; /* Linux: a negative time-out does not wait */
    return 0;
  }
  struct ktimespec ts = {tv.sec, tv.usec * 1000};
  return timespec_ns(&ts, timeout);
}

struct sock *sock_of_file(struct file *f) {
  return f->ops == &socket_ops ? f->priv : NULL;
}

struct file *sock_fd_get(int fd, struct sock **s, int *err) {
  struct file *f = fd_get(fd);
  *err = -EBADF;
  if (!f)
    return NULL;
  *s = sock_of_file(f);
  if (*s)
    return f;
  file_put(f);
  *err = -ENOTSOCK;
  return NULL;
}

i64 sock_send(struct file *f, struct msg *m) {
  struct sock *s = f->priv;
  i64 n = s->ops->send(s, m, (f->flags & O_NONBLOCK) || (m->flags & MSG_DONTWAIT));
  return sent(s, n, m->flags);
}

/* ---- addresses ------------------------------------------------------------------------- */

int sockaddr_get(u8 *addr, u64 uaddr, u64 len) {
  if (len > SOCKADDR_MAX)
    return -EINVAL;
  memset(addr, 0, SOCKADDR_MAX);
  return copy_from_user(addr, uaddr, len);
}

int sockaddr_put(const u8 *addr, u32 len, u64 uaddr, u64 len_uaddr) {
  u32 room;
  if (uaddr == 0)
    return 0;
  if (user_load32(len_uaddr, &room))
    return -EFAULT;
  if ((i32)room < 0)
    return -EINVAL;
  if (copy_to_user(uaddr, addr, min_u64(room, len)))
    return -EFAULT;
  return user_store32(len_uaddr, len);
}

/* ---- making ---------------------------------------------------------------------------- */

/* Installs a descriptor for s, which is released if that fails. */
static i64 install(struct sock *s, u32 type_flags) {
  struct file *f = sock_file_create(s, type_flags & SOCK_NONBLOCK);
  if (!f) {
    s->ops->release(s);
    return -ENOMEM;
  }
  int fd = fd_install(f, type_flags & SOCK_CLOEXEC, 0);
  if (fd < 0)
    file_put(f);
  return fd;
}

i64 sys_socket(struct uregs *r) {
  int domain = (int)r->rdi;
  u32 type = (u32)r->rsi;
  struct sock *s;
  if (type & ~(SOCK_TYPE_MASK | SOCK_CLOEXEC | SOCK_NONBLOCK))
    return -EINVAL;
  int err = domain == AF_UNIX
                ? unix_sock_create((int)(type & SOCK_TYPE_MASK), (int)r->rdx, &s)
                : plat_sock_create(domain, (int)(type & SOCK_TYPE_MASK), (int)r->rdx, &s);
  return err ? err : install(s, type);
}

i64 sys_socketpair(struct uregs *r) {
  u32 type = (u32)r->rsi;
  struct sock *s[2];
  i32 fds[2];
  if ((int)r->rdi != AF_UNIX)
    return -EAFNOSUPPORT;
  if (type & ~(SOCK_TYPE_MASK | SOCK_CLOEXEC | SOCK_NONBLOCK))
    return -EINVAL;
  if (r->rdx != 0)
    return -EPROTONOSUPPORT;
  int err = unix_sock_pair((int)(type & SOCK_TYPE_MASK), s);
  if (err)
    return err;
  i64 a = install(s[0], type);
  if (a < 0) {
    s[1]->ops->release(s[1]);
    return a;
  }
  i64 b = install(s[1], type);
  if (b < 0) {
    fd_close((int)a);
    return b;
  }
  fds[0] = (i32)a;
  fds[1] = (i32)b;
  if (copy_to_user(r->r10, fds, sizeof fds)) {
    fd_close(fds[0]);
    fd_close(fds[1]);
    return -EFAULT;
  }
  return 0;
}

/* ---- connecting ------------------------------------------------------------------------ */

i64 sys_bind(struct uregs *r) {
  u8 addr[SOCKADDR_MAX];
  struct sock *s;
  int err;
  struct file *f = sock_fd_get((int)r->rdi, &s, &err);
  if (!f)
    return err;
  err = sockaddr_get(addr, r->rsi, (u32)r->rdx);
  if (!err)
    err = s->ops->bind(s, addr, (u32)r->rdx);
  file_put(f);
  return err;
}

i64 sys_connect(struct uregs *r) {
  u8 addr[SOCKADDR_MAX];
  struct sock *s;
  int err;
  struct file *f = sock_fd_get((int)r->rdi, &s, &err);
  if (!f)
    return err;
  err = sockaddr_get(addr, r->rsi, (u32)r->rdx);
  if (!err)
    err = s->ops->connect(s, addr, (u32)r->rdx, f->flags & O_NONBLOCK);
  file_put(f);
  return err;
}

i64 sys_listen(struct uregs *r) {
  struct sock *s;
  int err;
  struct file *f = sock_fd_get((int)r->rdi, &s, &err);
  if (!f)
    return err;
  err = s->ops->listen ? s->ops->listen(s, (int)r->rsi) : -EOPNOTSUPP;
  file_put(f);
  return err;
}

static i64 accept(struct uregs *r, u32 flags) {
  u8 addr[SOCKADDR_MAX];
  u32 len = 0;
  struct sock *s, *new_;
  int err;
  if (flags & ~(SOCK_CLOEXEC | SOCK_NONBLOCK))
    return -EINVAL;
  struct file *f = sock_fd_get((int)r->rdi, &s, &err);
  if (!f)
    return err;
  int fd = fd_reserve(); /* if there is none, the connection stays in the queue, for later */
  if (fd < 0)
    err = fd;
  else
    err =
        s->ops->accept ? s->ops->accept(s, f->flags & O_NONBLOCK, &new_, addr, &len) : -EOPNOTSUPP;
  file_put(f);
  if (err)
    goto release;
  f = sock_file_create(new_, flags & SOCK_NONBLOCK);
  err = f ? sockaddr_put(addr, len, r->rsi, r->rdx) : -ENOMEM;
  if (err)
    goto close;
  fd_fill(fd, f, flags & SOCK_CLOEXEC);
  return fd;
close:
  if (f)
    file_put(f);
  else
    new_->ops->release(new_);
release:
  if (fd >= 0)
    fd_release(fd);
  return err;
}

i64 sys_accept(struct uregs *r) { return accept(r, 0); }
i64 sys_accept4(struct uregs *r) { return accept(r, (u32)r->r10); }

static i64 getname(struct uregs *r, bool peer) {
  u8 addr[SOCKADDR_MAX];
  u32 len = SOCKADDR_MAX;
  struct sock *s;
  int err;
  struct file *f = sock_fd_get((int)r->rdi, &s, &err);
  if (!f)
    return err;
  err = s->ops->getname(s, peer, addr, &len);
  file_put(f);
  if (err)
    return err;
  return r->rsi ? sockaddr_put(addr, len, r->rsi, r->rdx) : -EFAULT;
}

i64 sys_getsockname(struct uregs *r) { return getname(r, false); }
i64 sys_getpeername(struct uregs *r) { return getname(r, true); }

i64 sys_shutdown(struct uregs *r) {
  struct sock *s;
  int err;
  struct file *f = sock_fd_get((int)r->rdi, &s, &err);
  if (!f)
    return err;
  err = r->rsi > 2 ? -EINVAL : s->ops->shutdown(s, (int)r->rsi);
  file_put(f);
  return err;
}

/* ---- options --------------------------------------------------------------------------- */

#define OPTION_MAX 256

i64 sys_setsockopt(struct uregs *r) {
  u8 val[OPTION_MAX];
  struct sock *s;
  int err;
  u32 len = (u32)r->r8;
  if (len > OPTION_MAX)
    return -EINVAL;
  struct file *f = sock_fd_get((int)r->rdi, &s, &err);
  if (!f)
    return err;
  err = copy_from_user(val, r->r10, len);
  if (!err)
    err = s->ops->setsockopt(s, (int)r->rsi, (int)r->rdx, val, len);
  file_put(f);
  return err;
}

i64 sys_getsockopt(struct uregs *r) {
  u8 val[OPTION_MAX];
  struct sock *s;
  int err;
  u32 len;
  struct file *f = sock_fd_get((int)r->rdi, &s, &err);
  if (!f)
    return err;
  err = user_load32(r->r8, &len);
  if (!err && (i32)len < 0)
    err = -EINVAL;
  if (len > OPTION_MAX)
    len = OPTION_MAX;
  if (!err)
    err = s->ops->getsockopt(s, (int)r->rsi, (int)r->rdx, val, &len);
  if (!err && (copy_to_user(r->r10, val, len) || user_store32(r->r8, len)))
    err = -EFAULT;
  file_put(f);
  return err;
}
