/* SPDX-License-Identifier: MIT */
/*
 * AF_INET and AF_INET6 sockets of the host, non-blocking underneath. A transfer costs one host call
 * whether it succeeds or would block; readiness comes from hostio.
 */
#include "kernel/mm/kmalloc.h"
#include "kernel/net/sock.h"
#include "lib/string.h"
#include "plat/hosted/behind.h"
#include "plat/hosted/hostfile.h"
#include "plat/hosted/hostio.h"
#include "plat/hosted/hostsockopt.h"
#include "plat/hosted/hostxfer.h"
#include "plat/hosted/together.h"

#define HOST_AF_INET 2
#define HOST_AF_INET6 10
#define HOST_SOCK_STREAM 1
#define HOST_SOCK_DGRAM 2
#define HOST_SOCK_NONBLOCK 04000
#define HOST_SOCK_CLOEXEC 02000000
#define HOST_MSG_PEEK 2u
#define HOST_MSG_TRUNC 0x20u
#define HOST_MSG_DONTWAIT 0x40u
#define HOST_MSG_WAITALL 0x100u
#define HOST_MSG_ERRQUEUE 0x2000u
#define HOST_MSG_NOSIGNAL 0x4000u
#define SOL_SOCKET 1
#define SO_ERROR 4

struct lx_msghdr {
  void *name;
  u32 namelen;
  struct lx_iovec *iov;
  u64 iovlen;
  void *control;
  u64 controllen;
  u32 flags;
};

/* How often a socket is used away from its home until that follows; the workers of a server share
   listening sockets. */
#define STREAM_PATIENCE 2
#define LISTENER_PATIENCE 16

static const struct sock_ops host_sock_ops;

static struct host_sock *of(struct sock *s) { return container_of(s, struct host_sock, sock); }

/* Wraps a host descriptor, which it takes over in any case. */
static int wrap(int fd, int domain, int type, int protocol, u32 ready, struct sock **out) {
  struct host_sock *h = kzalloc(sizeof(*h));
  if (!h) {
    lx1(close, fd);
    return -ENOMEM;
  }
  h->sock = (struct sock){
      .ops = &host_sock_ops, .domain = domain, .type = type, .protocol = protocol, .priv = h};
  waitq_init(&h->sock.wait);
  h->io.ready = ready;
  int err = hostio_add(&h->io, fd, &h->sock.wait);
  if (err) {
    lx1(close, fd);
    kfree(h);
    return err;
  }
  *out = &h->sock;
  return 0;
}

int plat_sock_create(int domain, int type, int protocol, struct sock **out) {
  type &= 0xf;
  if (domain != HOST_AF_INET && domain != HOST_AF_INET6)
    return -EAFNOSUPPORT;
  if (type != HOST_SOCK_STREAM && type != HOST_SOCK_DGRAM)
    return -ESOCKTNOSUPPORT;
  i64 fd = lx3(socket, domain, type | HOST_SOCK_NONBLOCK | HOST_SOCK_CLOEXEC, protocol);
  if (fd < 0)
    return fd == -EMFILE ? -ENFILE : (int)fd;
  return wrap((int)fd, domain, type, protocol, type == HOST_SOCK_DGRAM ? POLLOUT : 0, out);
}

static void sock_release(struct sock *s) {
  struct host_sock *h = of(s);
  together_push(h);
  hostio_close(&h->io);
  together_release(h);
  kfree(h);
}

/* Sleeps until `bit` is ready, for at most `timeout` nanoseconds (0: for ever). */
static int await(struct host_sock *h, u32 bit, u64 timeout) {
  u64 deadline = timeout ? plat_now() + timeout : UINT64_MAX;
  hostio_verify(&h->io);
  int err = waitq_wait_until(&h->sock.wait, hostio_ready(&h->io) & bit, deadline);
  return err == -ETIMEDOUT ? -EAGAIN : err;
}

/* ---- connections ----------------------------------------------------------------------------- */

static int sock_bind(struct sock *s, const u8 *addr, u32 len) {
  return (int)lx3(bind, of(s)->io.fd, addr, len);
}

/* Before it listens or is connected, the host calls a TCP socket hung up. */
#define NOT_YET_USED (POLLHUP | POLLRDHUP)

static int sock_listen(struct sock *s, int backlog) {
  int err = (int)lx2(listen, of(s)->io.fd, backlog);
  if (err == 0) {
    hostio_begin(&of(s)->io, NOT_YET_USED);
    together_listen(of(s));
  }
  return err;
}

static int sock_accept(struct sock *s, bool nonblock, struct sock **out, u8 *addr, u32 *len) {
  struct host_sock *h = of(s);
  together_end();
  hostio_used(&h->io, LISTENER_PATIENCE);
  for (;;) {
    u32 addr_len = SOCKADDR_MAX;
    hostio_begin(&h->io, POLLIN | NOT_YET_USED);
    i64 fd = LX_RETRY(lx4(accept4, h->io.fd, addr, addr ? &addr_len : NULL,
                          HOST_SOCK_NONBLOCK | HOST_SOCK_CLOEXEC));
    if (fd >= 0) {
      hostio_more(&h->io, POLLIN);
      if (waitq_has_waiters(&s->wait)) /* one event may have told of several connections */
        hostio_make_sure(&h->io);
      if (len)
        *len = addr_len;
      int err = wrap((int)fd, s->domain, s->type, s->protocol, POLLOUT, out);
      if (!err)
        together_accepted(of(*out), h);
      return err;
    }
    if (fd != -EAGAIN)
      hostio_more(&h->io, POLLIN);
    if (fd != -EAGAIN || nonblock)
      return fd == -EMFILE ? -ENFILE : (int)fd;
    int err = await(h, POLLIN, h->recv_timeout);
    if (err)
      return err;
  }
}

static int pending_error(struct host_sock *h) {
  int err = 0;
  u32 len = sizeof(err);
  i64 ret = lx5(getsockopt, h->io.fd, SOL_SOCKET, SO_ERROR, &err, &len);
  return ret < 0 ? (int)ret : -err;
}

static int sock_connect(struct sock *s, const u8 *addr, u32 len, bool nonblock) {
  struct host_sock *h = of(s);
  together_end();
  hostio_begin(&h->io, POLLOUT | NOT_YET_USED);
  i64 err = LX_RETRY(lx3(connect, h->io.fd, addr, len));
  if (err == 0)
    hostio_more(&h->io, POLLOUT);
  if (err != -EINPROGRESS || nonblock)
    return (int)err;
  err = await(h, POLLOUT, h->send_timeout);
  if (err)
    return err == -EAGAIN ? -EINPROGRESS : (int)err;
  return pending_error(h);
}

static int sock_getname(struct sock *s, bool peer, u8 *addr, u32 *len) {
  *len = SOCKADDR_MAX;
  return (int)(peer ? lx3(getpeername, of(s)->io.fd, addr, len)
                    : lx3(getsockname, of(s)->io.fd, addr, len));
}

static int sock_shutdown(struct sock *s, int how) {
  together_end();
  together_push(of(s));
  return (int)lx2(shutdown, of(s)->io.fd, how);
}

/* ---- transfers ------------------------------------------------------------------------------- */

static i64 send_call(struct host_sock *h, struct msg *m, struct lx_iovec *iov, int n_iov,
                     u32 flags) {
  if (n_iov == 1 && !m->control_len)
    return lx6(sendto, h->io.fd, iov->base, iov->len, flags, m->addr, m->addr ? m->addr_len : 0);
  struct lx_msghdr hdr = {
      m->addr, m->addr ? m->addr_len : 0, iov, (u64)n_iov, m->control, m->control_len, 0};
  return lx3(sendmsg, h->io.fd, &hdr, flags);
}

/*
 * Datagrams pass through a buffer of the kernel's where one host call on user memory would not do:
 * a message received is gone even if its copy fails, which it does while the thaw thread has made
 * that memory read-only; and one sent comes from at most HOST_IOV_MAX pieces.
 */
#define DATAGRAM_MAX 65536

static i64 send_gathered(struct host_sock *h, struct msg *m, u32 flags) {
  size_t n = m->data->left;
  if (n > DATAGRAM_MAX)
    return -EMSGSIZE;
  char *buf = kmalloc(n + 1);
  if (!buf)
    return -ENOMEM;
  struct lx_iovec iov = {buf, n};
  i64 err = uio_read_from(m->data, buf, n) == (i64)n ? LX_RETRY(send_call(h, m, &iov, 1, flags))
                                                     : -EFAULT;
  kfree(buf);
  return err;
}

static i64 send_once(struct host_sock *h, struct msg *m, u32 flags) {
  if (h->sock.type == HOST_SOCK_STREAM || m->data->count - m->data->at <= HOST_IOV_MAX)
    return HOST_XFER(m->data, SIZE_MAX, false, send_call(h, m, iov, n_iov, flags));
  struct uio before = *m->data;
  i64 n = send_gathered(h, m, flags);
  if (n < 0) /* it may be sent again */
    *m->data = before;
  return n;
}

/* `held`: MSG_MORE, or 0. */
static i64 send_all(struct host_sock *h, struct msg *m, bool nonblock, u32 held) {
  bool stream = h->sock.type == HOST_SOCK_STREAM;
  u32 flags = (m->flags & ~HOST_MSG_PEEK) | HOST_MSG_DONTWAIT | HOST_MSG_NOSIGNAL;
  i64 sum = 0;
  for (;; held = 0) {
    u64 want = m->data->left;
    hostio_begin(&h->io, POLLOUT);
    i64 n = send_once(h, m, flags | held);
    if (n == -EAGAIN) {
      together_push(h);
      int err = nonblock ? -EAGAIN : await(h, POLLOUT, h->send_timeout);
      if (err)
        return sum ? sum : err;
      continue;
    }
    if (n < 0 || !stream || (u64)n == want)
      hostio_more(&h->io, POLLOUT);
    if (n < 0)
      return sum ? sum : n;
    sum += n;
    if (!stream || m->data->left == 0)
      return sum;
  }
}

/* Could the host hold it until another follows, and nobody see that? */
static bool is_small(const struct host_sock *h, const struct msg *m) {
  return (h->sock.protocol == 0 || h->sock.protocol == HOST_IPPROTO_TCP) && !m->addr &&
         !m->control_len && !(m->flags & ~(HOST_MSG_DONTWAIT | HOST_MSG_NOSIGNAL)) &&
         m->data->left > 0 && m->data->left <= TOGETHER_MAX;
}

static i64 sock_send(struct sock *s, struct msg *m, bool nonblock) {
  struct host_sock *h = of(s);
  u64 want = m->data->left;
  if (s->type != HOST_SOCK_STREAM) {
    together_end();
    return send_all(h, m, nonblock, 0);
  }
  bool more = m->flags & HOST_MSG_MORE;
  u32 held = together_begin(h, is_small(h, m), more);
  i64 n = send_all(h, m, nonblock, held);
  together_done(h, held, n > 0 && (u64)n == want && !more);
  return n;
}

static i64 send_file(struct host_sock *h, int fd, u64 *pos, u64 n, bool nonblock) {
  u64 sum = 0;
  for (;;) {
    i64 at = (i64)*pos;
    hostio_begin(&h->io, POLLOUT);
    i64 put = LX_RETRY(lx4(sendfile, h->io.fd, fd, &at, n - sum));
    if (put == -EAGAIN) {
      together_push(h);
      int err = nonblock ? -EAGAIN : await(h, POLLOUT, h->send_timeout);
      if (err)
        return sum ? (i64)sum : err;
      continue;
    }
    if (put > 0) {
      *pos += (u64)put;
      sum += (u64)put;
    }
    if (put > 0 && sum < n)
      continue; /* as with sock_send: only -EAGAIN makes the host tell of room */
    hostio_more(&h->io, POLLOUT);
    return sum || put == 0 ? (i64)sum : put;
  }
}

static i64 sock_send_file(struct sock *s, struct file *in, u64 *pos, u64 n, bool nonblock) {
  struct host_sock *h = of(s);
  int fd = host_file_fd(in);
  if (fd < 0 || s->type != HOST_SOCK_STREAM)
    return -EOPNOTSUPP;
  behind_settle_all();
  together_begin(h, false, false);
  i64 sum = send_file(h, fd, pos, n, nonblock);
  together_done(h, 0, sum > 0 && (u64)sum == n);
  return sum;
}

static i64 recv_call(struct host_sock *h, struct msg *m, struct lx_iovec *iov, int n_iov,
                     u32 flags) {
  i64 n;
  if (n_iov == 1 && !m->control_cap && h->sock.type == HOST_SOCK_STREAM) {
    m->addr_len = 0; /* a connected stream names no sender */
    n = lx6(recvfrom, h->io.fd, iov->base, iov->len, flags, NULL, NULL);
    m->flags = 0;
    return n;
  }
  struct lx_msghdr hdr = {m->addr,    m->addr ? SOCKADDR_MAX : 0,         iov,
                          (u64)n_iov, m->control_cap ? m->control : NULL, m->control_cap,
                          0};
  n = lx3(recvmsg, h->io.fd, &hdr, flags);
  if (n >= 0) {
    m->addr_len = hdr.namelen;
    m->control_len = (u32)hdr.controllen;
    m->flags = hdr.flags;
  }
  return n;
}

static i64 recv_datagram(struct host_sock *h, struct msg *m, u32 flags) {
  size_t room = min_u64(m->data->left, DATAGRAM_MAX);
  char *buf = kmalloc(room + 1);
  if (!buf)
    return -ENOMEM;
  struct lx_iovec iov = {buf, room};
  i64 n = LX_RETRY(recv_call(h, m, &iov, 1, flags)); /* with MSG_TRUNC it may exceed the room */
  size_t got = n > 0 ? min_u64((u64)n, room) : 0;
  if (got && uio_write_to(m->data, buf, got) != (i64)got)
    n = -EFAULT;
  kfree(buf);
  return n;
}

static i64 recv_once(struct host_sock *h, struct msg *m, u32 flags) {
  if (h->sock.type == HOST_SOCK_STREAM)
    return HOST_XFER(m->data, SIZE_MAX, true, recv_call(h, m, iov, n_iov, flags));
  return recv_datagram(h, m, flags);
}

static i64 sock_recv(struct sock *s, struct msg *m, bool nonblock) {
  struct host_sock *h = of(s);
  bool stream = s->type == HOST_SOCK_STREAM;
  u32 flags = (m->flags & ~HOST_MSG_WAITALL) | HOST_MSG_DONTWAIT;
  bool all = stream && (m->flags & HOST_MSG_WAITALL) && !(m->flags & HOST_MSG_PEEK);
  u32 bit = m->flags & HOST_MSG_ERRQUEUE ? POLLERR : POLLIN;
  i64 sum = 0;
  together_end();
  hostio_used(&h->io, STREAM_PATIENCE);
  for (;;) {
    u64 want = m->data->left;
    hostio_begin(&h->io, POLLIN);
    i64 n = recv_once(h, m, flags);
    /* A short read of a stream has emptied it; everything else may have more behind it. */
    if (n != -EAGAIN && (!stream || n <= 0 || (u64)n == want || (flags & HOST_MSG_PEEK)))
      hostio_more(&h->io, POLLIN);
    if (n == -EAGAIN) {
      if (nonblock && together_push_all()) /* it may be for us */
        continue;
      int err = nonblock ? -EAGAIN : await(h, bit, h->recv_timeout);
      if (err)
        return sum ? sum : err;
      continue;
    }
    if (n <= 0)
      return sum ? sum : n;
    sum += n;
    if (!all || m->data->left == 0)
      return sum;
  }
}

static u32 sock_poll(struct sock *s, struct poller *p) {
  struct host_sock *h = of(s);
  poll_wait(p, &s->wait);
  together_end();
  hostio_make_sure(&h->io);
  u32 r = hostio_ready(&h->io);
  if (unlikely(r & (POLLHUP | POLLERR))) {
    hostio_verify(&h->io);
    r = hostio_ready(&h->io);
  }
  if (!(r & POLLIN)) {
    hostio_look();
    r = hostio_ready(&h->io);
  }
  return r;
}

static const struct sock_ops host_sock_ops = {
    .bind = sock_bind,
    .listen = sock_listen,
    .accept = sock_accept,
    .connect = sock_connect,
    .getname = sock_getname,
    .send = sock_send,
    .recv = sock_recv,
    .send_file = sock_send_file,
    .shutdown = sock_shutdown,
    .setsockopt = host_setsockopt,
    .getsockopt = host_getsockopt,
    .ioctl = host_sock_ioctl,
    .poll = sock_poll,
    .release = sock_release,
};
