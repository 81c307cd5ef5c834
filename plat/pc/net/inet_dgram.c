/* SPDX-License-Identifier: MIT */
/* Datagrams: UDP, and raw ICMP for ping. */
#include "kernel/mm/kmalloc.h"
#include "kernel/proc/proc.h"
#include "lib/string.h"
#include "lwip/netif.h"
#include "lwip/raw.h"
#include "lwip/udp.h"
#include "plat/pc/net/inet.h"

#define PACKET_MAX 65507 /* UDP over IPv4 */
#define PACKET_COST 256  /* of the structures around a packet's bytes */
#define PORT_PRIVILEGED 1024

struct packet {
  struct list node;
  struct pbuf *p;
  struct endpoint from;
};

static const struct sock_ops dgram_ops;

static u32 cost(const struct packet *k) { return k->p->tot_len + PACKET_COST; }

static void wake(struct dgram_sock *d, u32 events) {
  waitq_wake(&d->i.sock.wait, 0, events, WAKE_SYNC);
}

/* ---- what lwIP tells: lock held -------------------------------------------------------------- */

/* Queues p, which is taken over, or drops it. */
static void deliver(struct dgram_sock *d, struct pbuf *p, const ip_addr_t *from, u16 port) {
  struct packet *k = NULL;
  if (!d->i.rx_shut && (d->queued == 0 || d->queued + p->tot_len + PACKET_COST <= d->i.opt.rcvbuf))
    k = kmalloc(sizeof *k);
  if (!k) {
    pbuf_free(p);
    return;
  }
  k->p = p;
  ip_addr_copy(k->from.ip, *from);
  k->from.port = port;
  list_push_back(&d->packets, &k->node);
  __atomic_store_n(&d->queued, d->queued + cost(k), __ATOMIC_SEQ_CST);
  wake(d, POLLIN);
}

static void on_udp(void *arg, struct udp_pcb *pcb, struct pbuf *p, const ip_addr_t *from,
                   u16_t port) {
  (void)pcb;
  deliver(arg, p, from, port);
}

/* A copy: lwIP answers pings itself, and other sockets see the packet too. IPv4's header stays in
   front, IPv6's does not, as on Linux. */
static u8_t on_raw(void *arg, struct raw_pcb *pcb, struct pbuf *p, const ip_addr_t *from) {
  struct dgram_sock *d = arg;
  (void)pcb;
  if (d->i.has_peer && !ip_addr_cmp(&d->i.peer.ip, from))
    return 0;
  struct pbuf *copy = pbuf_clone(PBUF_RAW, PBUF_RAM, p);
  if (!copy)
    return 0;
  if (IP_IS_V6(from))
    pbuf_remove_header(copy, ip_current_header_tot_len());
  deliver(d, copy, from, 0);
  return 0;
}

void dgram_unreachable(u16 port, const struct endpoint *to) {
  for (struct udp_pcb *u = udp_pcbs; u; u = u->next) {
    if (u->local_port != port || !(u->flags & UDP_FLAGS_CONNECTED) || u->remote_port != to->port ||
        !ip_addr_cmp(&u->remote_ip, &to->ip) || !u->recv_arg || u->recv != on_udp)
      continue;
    struct dgram_sock *d = u->recv_arg;
    d->i.error = ECONNREFUSED;
    wake(d, POLLIN | POLLOUT | POLLERR);
  }
}

/* ---- life ------------------------------------------------------------------------------------ */

void dgram_apply_options(struct dgram_sock *d) {
  const struct inet_opts *o = &d->i.opt;
  struct ip_pcb *pcb = d->udp ? (struct ip_pcb *)d->udp : (struct ip_pcb *)d->raw;
  u8 flags = (u8)((o->reuse ? SOF_REUSEADDR : 0) | (o->broadcast ? SOF_BROADCAST : 0));
  pcb->so_options = (u8)((pcb->so_options & ~(SOF_REUSEADDR | SOF_BROADCAST)) | flags);
  pcb->ttl = o->ttl ? o->ttl : d->udp ? UDP_TTL : RAW_TTL;
  pcb->tos = o->tos;
  if (!d->i.bound)
    IP_SET_TYPE_VAL(pcb->local_ip, inet_pcb_type(&d->i));
}

static bool make_pcb(struct dgram_sock *d, int type, int protocol) {
  u8 t = inet_pcb_type(&d->i);
  if (type == SOCK_DGRAM) {
    d->udp = udp_new_ip_type(t);
    if (d->udp)
      udp_recv(d->udp, on_udp, d);
    return d->udp;
  }
  d->raw = raw_new_ip_type(t == IPADDR_TYPE_ANY ? IPADDR_TYPE_V6 : t, (u8)protocol);
  if (!d->raw)
    return false;
  raw_recv(d->raw, on_raw, d);
  if (protocol == IPPROTO_ICMPV6) {
    d->raw->chksum_reqd = 1;
    d->raw->chksum_offset = 2;
  }
  return true;
}

int dgram_sock_create(int domain, int type, int protocol, struct sock **out) {
  struct dgram_sock *d = kzalloc(sizeof *d);
  if (!d)
    return -ENOMEM;
  inet_init(&d->i, &dgram_ops, domain, type, protocol);
  list_init(&d->packets);
  net_lock();
  bool ok = make_pcb(d, type, protocol);
  net_unlock();
  if (!ok) {
    kfree(d);
    return -ENOBUFS;
  }
  *out = &d->i.sock;
  return 0;
}

static void drop(struct dgram_sock *d, struct packet *k) {
  list_remove(&k->node);
  __atomic_store_n(&d->queued, d->queued - cost(k), __ATOMIC_SEQ_CST);
  pbuf_free(k->p);
  kfree(k);
}

static void dgram_release(struct sock *s) {
  struct dgram_sock *d = dgram_of(s);
  net_lock();
  if (d->udp)
    udp_remove(d->udp);
  else
    raw_remove(d->raw);
  while (!list_empty(&d->packets))
    drop(d, list_first(&d->packets, struct packet, node));
  net_unlock();
  kfree(d);
}

/* ---- names ----------------------------------------------------------------------------------- */

static int bind_pcb(struct dgram_sock *d, const ip_addr_t *ip, u16 port) {
  const ip_addr_t *a = inet_bind_addr(&d->i, ip);
  if (!d->udp)
    return inet_errno(raw_bind(d->raw, a));
  int err = udp_bind(d->udp, a, port);
  d->i.local.port = d->udp->local_port;
  return inet_errno(err);
}

/* A port for a socket that has none: -EAGAIN if all are taken. */
static int autobind(struct dgram_sock *d) {
  if (d->raw || d->udp->local_port)
    return 0;
  return bind_pcb(d, &d->i.local.ip, 0) ? -EAGAIN : 0;
}

static int dgram_bind(struct sock *s, const u8 *addr, u32 len) {
  struct dgram_sock *d = dgram_of(s);
  struct endpoint e;
  int err = inet_addr_get(&d->i, addr, len, &e);
  if (err == -ENETUNREACH)
    err = -EINVAL;
  if (!err && d->udp && e.port && e.port < PORT_PRIVILEGED && !cred_is_root())
    err = -EACCES;
  if (err)
    return err;
  net_lock();
  if (d->i.bound || (d->udp && d->udp->local_port))
    err = -EINVAL;
  else if (!inet_addr_is_local(&e.ip))
    err = -EADDRNOTAVAIL;
  else
    err = bind_pcb(d, &e.ip, e.port);
  if (!err) {
    d->i.bound = true;
    ip_addr_copy(d->i.local.ip, e.ip);
  }
  net_unlock();
  return err;
}

static void dissolve(struct dgram_sock *d) {
  if (d->udp)
    udp_disconnect(d->udp);
  d->i.has_peer = false;
  if (!d->i.bound)
    ip_addr_set_any(d->i.sock.domain == AF_INET6, &d->i.local.ip);
}

static int connect_locked(struct dgram_sock *d, const struct endpoint *e) {
  const ip_addr_t *source = inet_source_for(&d->i.local.ip, &e->ip);
  if (!source)
    return -ENETUNREACH;
  int err = autobind(d);
  if (!err && d->udp)
    err = inet_errno(udp_connect(d->udp, &e->ip, e->port));
  if (err)
    return err;
  d->i.peer = *e;
  d->i.has_peer = true;
  if (ip_addr_isany(&d->i.local.ip))
    ip_addr_copy(d->i.local.ip, *source);
  return 0;
}

static int dgram_connect(struct sock *s, const u8 *addr, u32 len, bool nonblock) {
  struct dgram_sock *d = dgram_of(s);
  struct endpoint e;
  bool unspec = inet_addr_is_unspec(addr, len);
  int err = unspec ? 0 : inet_dest_get(&d->i, addr, len, &e);
  (void)nonblock;
  if (err)
    return err;
  if (!unspec)
    inet_await_network(&e.ip);
  net_lock();
  if (unspec)
    dissolve(d);
  else
    err = connect_locked(d, &e);
  net_unlock();
  return err;
}

static int dgram_shutdown(struct sock *s, int how) {
  struct dgram_sock *d = dgram_of(s);
  net_lock();
  int err = d->i.has_peer ? 0 : -ENOTCONN;
  d->i.rx_shut |= how != 1; /* Linux shuts down an unconnected one too, and complains */
  d->i.tx_shut |= how != 0;
  wake(d, POLLIN | POLLOUT | POLLHUP | POLLRDHUP);
  net_unlock();
  return err;
}

/* ---- sending --------------------------------------------------------------------------------- */

static int send_errno(int err) { return err == ERR_VAL ? -EACCES : inet_errno(err); }

static bool is_broadcast(const ip_addr_t *to) {
  struct netif *n;
  if (IP_IS_V6(to))
    return false;
  NETIF_FOREACH(n) {
    if (ip4_addr_isbroadcast(ip_2_ip4(to), n))
      return true;
  }
  return false;
}

/* Lock held. p stays the caller's. */
static int transmit(struct dgram_sock *d, struct pbuf *p, const struct endpoint *to) {
  if (is_broadcast(&to->ip) && !d->i.opt.broadcast)
    return -EACCES;
  if (!inet_source_for(&d->i.local.ip, &to->ip))
    return -ENETUNREACH;
  return send_errno(d->udp ? udp_sendto(d->udp, p, &to->ip, to->port)
                           : raw_sendto(d->raw, p, &to->ip));
}

static int destination(struct dgram_sock *d, struct msg *m, struct endpoint *to) {
  if (m->addr && m->addr_len) {
    int err = inet_dest_get(&d->i, m->addr, m->addr_len, to);
    return !err && d->udp && to->port == 0 ? -EINVAL : err;
  }
  if (!d->i.has_peer)
    return -EDESTADDRREQ;
  *to = d->i.peer;
  return 0;
}

/* Linux binds a socket before it looks at the rest of a call. */
static int ensure_bound(struct dgram_sock *d) {
  net_lock();
  int err = autobind(d);
  net_unlock();
  return err;
}

static i64 dgram_send(struct sock *s, struct msg *m, bool nonblock) {
  struct dgram_sock *d = dgram_of(s);
  struct endpoint to;
  u64 n = m->data->left;
  (void)nonblock; /* there is no queue to wait for */
  if (m->flags & MSG_OOB)
    return -EOPNOTSUPP;
  if (n > PACKET_MAX)
    return -EMSGSIZE;
  int err = ensure_bound(d);
  if (!err)
    err = destination(d, m, &to);
  if (!err)
    err = inet_take_error(&d->i);
  if (!err && d->i.tx_shut)
    err = -EPIPE;
  if (err)
    return err;
  inet_await_network(&to.ip);
  /* Memory of the heap, which needs no lock; and filled before the lock is taken. */
  struct pbuf *p = pbuf_alloc(d->udp ? PBUF_TRANSPORT : PBUF_IP, (u16)n, PBUF_RAM);
  if (!p)
    return -ENOBUFS;
  i64 got = n ? uio_read_from(m->data, p->payload, n) : 0;
  net_lock();
  if (got == (i64)n)
    err = transmit(d, p, &to);
  else
    err = -EFAULT;
  pbuf_free(p);
  net_unlock();
  return err ? err : got;
}

/* ---- receiving ------------------------------------------------------------------------------- */

static struct packet *first_packet(struct dgram_sock *d) {
  net_lock();
  struct packet *k = list_empty(&d->packets) ? NULL : list_first(&d->packets, struct packet, node);
  net_unlock();
  return k;
}

static i64 copy_out(const struct pbuf *p, struct msg *m) {
  i64 sum = 0;
  for (; p && m->data->left > 0; p = p->next) {
    size_t k = min_u64(p->len, m->data->left);
    if (k == 0)
      continue;
    i64 got = uio_write_to(m->data, p->payload, k);
    if (got != (i64)k)
      return -EFAULT;
    sum += got;
  }
  return sum;
}

/* recv_lock held, so that k stays first; stack not locked. */
static i64 recv_packet(struct dgram_sock *d, struct packet *k, struct msg *m) {
  u32 in = m->flags, size = k->p->tot_len;
  m->flags = size > m->data->left ? MSG_TRUNC : 0;
  i64 got = copy_out(k->p, m);
  if (got >= 0 && m->addr)
    inet_addr_put(&d->i, &k->from, m->addr, &m->addr_len);
  if (!(in & MSG_PEEK)) {
    net_lock();
    drop(d, k);
    net_unlock();
  }
  return got < 0 ? got : in & MSG_TRUNC ? (i64)size : got;
}

static bool is_over(const struct dgram_sock *d) { return d->i.error || d->i.rx_shut; }

static i64 dgram_recv(struct sock *s, struct msg *m, bool nonblock) {
  struct dgram_sock *d = dgram_of(s);
  m->addr_len = 0;
  m->control_len = 0;
  if (m->flags & MSG_OOB)
    return -EOPNOTSUPP;
  for (;;) {
    int err = inet_take_error(&d->i);
    if (err)
      return err;
    mutex_lock(&d->i.recv_lock);
    struct packet *k = first_packet(d);
    i64 n = k ? recv_packet(d, k, m) : 0;
    mutex_unlock(&d->i.recv_lock);
    if (k)
      return n;
    if (d->i.rx_shut)
      return 0;
    if (nonblock)
      return -EAGAIN;
    err = inet_wait(&d->i, d->queued || is_over(d), d->i.opt.recv_timeout);
    if (err)
      return err;
  }
}

u32 dgram_readable(struct dgram_sock *d) {
  return list_empty(&d->packets) ? 0 : list_first(&d->packets, struct packet, node)->p->tot_len;
}

static u32 ready(struct dgram_sock *d) {
  u32 r = POLLOUT | POLLWRNORM;
  if (d->queued || d->i.rx_shut)
    r |= POLLIN | POLLRDNORM;
  if (d->i.rx_shut)
    r |= POLLRDHUP;
  if (d->i.rx_shut && d->i.tx_shut)
    r |= POLLHUP;
  if (d->i.error)
    r |= POLLERR;
  return r;
}

static u32 dgram_poll(struct sock *s, struct poller *p) {
  struct dgram_sock *d = dgram_of(s);
  poll_wait(p, &s->wait);
  u32 r = ready(d);
  if (r & POLLIN)
    return r;
  plat_poll_io();
  return ready(d);
}

static const struct sock_ops dgram_ops = {
    .bind = dgram_bind,
    .connect = dgram_connect,
    .getname = inet_getname,
    .send = dgram_send,
    .recv = dgram_recv,
    .shutdown = dgram_shutdown,
    .setsockopt = inet_setsockopt,
    .getsockopt = inet_getsockopt,
    .ioctl = inet_ioctl,
    .poll = dgram_poll,
    .release = dgram_release,
};
