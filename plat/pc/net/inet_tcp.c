/* SPDX-License-Identifier: MIT */
/* The life of TCP sockets: making, binding, listening, connecting, closing. */
#include "kernel/kassert.h"
#include "kernel/mm/kmalloc.h"
#include "kernel/proc/proc.h"
#include "lib/string.h"
#include "lwip/priv/tcp_priv.h"
#include "lwip/tcp.h"
#include "plat/pc/net/inet.h"

#define BACKLOG_MAX 4096
#define HALF_OPEN_MAX 255 /* of a listener: lwIP counts them in a byte */
#define PORT_PRIVILEGED 1024
#define EXT_ARG 0
#define ALL_EVENTS (POLLIN | POLLOUT | POLLHUP | POLLRDHUP | POLLERR)
#define NSEC_PER_SEC 1000000000UL

static const struct sock_ops tcp_ops;

static void wake(struct tcp_sock *t, u32 events) {
  waitq_wake(&t->i.sock.wait, 0, events, WAKE_SYNC);
}

/* ---- what lwIP tells: lock held -------------------------------------------------------------- */

static void rx_append(struct tcp_sock *t, struct pbuf *p) {
  t->rx_bytes += p->tot_len;
  if (t->rx_tail)
    t->rx_tail->next = p;
  else
    t->rx_head = p;
  while (p->next)
    p = p->next;
  t->rx_tail = p;
}

static err_t on_recv(void *arg, struct tcp_pcb *pcb, struct pbuf *p, err_t err) {
  struct tcp_sock *t = arg;
  (void)pcb, (void)err;
  if (p) {
    rx_append(t, p);
    wake(t, POLLIN);
  } else {
    t->rx_fin = true;
    wake(t, POLLIN | POLLRDHUP | (t->i.tx_shut ? POLLHUP : 0));
  }
  return ERR_OK;
}

static void wake_writers(struct tcp_sock *t) {
  tcp_update_room(t);
  if (__atomic_load_n(&t->tx_blocked, __ATOMIC_SEQ_CST) && t->tx_room >= tcp_room_wanted(t)) {
    __atomic_store_n(&t->tx_blocked, false, __ATOMIC_SEQ_CST);
    wake(t, POLLOUT);
  }
}

static err_t on_sent(void *arg, struct tcp_pcb *pcb, u16_t n) {
  (void)pcb, (void)n;
  wake_writers(arg);
  return ERR_OK;
}

/* Now and then: a sender that lack of memory has stopped may have nothing under way that would be
   acknowledged; and a closer lingers. */
static err_t on_poll(void *arg, struct tcp_pcb *pcb) {
  struct tcp_sock *t = arg;
  (void)pcb;
  wake_writers(t);
  if (t->i.tx_shut)
    wake(t, POLLOUT);
  return ERR_OK;
}

/* The pcb is gone, for whatever reason. */
static void on_destroy(u8_t id, void *data) {
  struct tcp_sock *t = data;
  (void)id;
  if (!t)
    return;
  t->pcb = NULL;
  t->tx_room = 0;
  t->i.has_peer = false;
}

static void on_error(void *arg, err_t err) {
  struct tcp_sock *t = arg;
  if (!t)
    return;
  t->pcb = NULL;
  t->tx_room = 0;
  if (t->state == TCP_CONNECTING) {
    t->state = TCP_FAILED;
    t->i.error = err == ERR_RST ? ECONNREFUSED : ETIMEDOUT;
    if (!t->i.bound) /* Linux keeps the port alone */
      ip_addr_set_any(t->i.sock.domain == AF_INET6, &t->i.local.ip);
  } else if (err != ERR_CLSD) {
    t->i.error = err != ERR_RST ? ETIMEDOUT : t->rx_fin ? EPIPE : ECONNRESET;
  }
  wake(t, ALL_EVENTS);
}

static const struct tcp_ext_arg_callbacks ext_callbacks = {.destroy = on_destroy};
static const struct tcp_ext_arg_callbacks no_callbacks;

static void refresh_local(struct tcp_sock *t) {
  ip_addr_copy(t->i.local.ip, t->pcb->local_ip);
  t->i.local.port = t->pcb->local_port;
}

/* The connection stands: data may flow. */
static void established(struct tcp_sock *t) {
  t->state = TCP_CONNECTED;
  t->i.has_peer = true;
  refresh_local(t);
  u32 window = TCP_WND_MAX(t->pcb);
  t->rx_withheld = t->i.opt.rcvbuf < window ? window - t->i.opt.rcvbuf : 0;
  tcp_update_room(t);
}

static err_t on_connected(void *arg, struct tcp_pcb *pcb, err_t err) {
  struct tcp_sock *t = arg;
  (void)pcb, (void)err;
  established(t);
  wake(t, POLLOUT);
  return ERR_OK;
}

/* ---- pcbs ------------------------------------------------------------------------------------ */

/* pcb's events go to t. */
static void adopt(struct tcp_sock *t, struct tcp_pcb *pcb) {
  t->pcb = pcb;
  tcp_arg(pcb, t);
  tcp_recv(pcb, on_recv);
  tcp_sent(pcb, on_sent);
  tcp_err(pcb, on_error);
  tcp_poll(pcb, on_poll, 2);
  tcp_ext_arg_set(pcb, EXT_ARG, t);
  tcp_ext_arg_set_callbacks(pcb, EXT_ARG, &ext_callbacks);
  tcp_apply_options(t);
}

/* From now on lwIP tells t nothing. The pcb is still there. */
static struct tcp_pcb *disown(struct tcp_sock *t) {
  struct tcp_pcb *pcb = t->pcb;
  t->pcb = NULL;
  tcp_arg(pcb, NULL);
  tcp_recv(pcb, NULL);
  tcp_sent(pcb, NULL);
  tcp_err(pcb, NULL);
  tcp_poll(pcb, NULL, 0);
  tcp_ext_arg_set_callbacks(pcb, EXT_ARG, &no_callbacks);
  tcp_ext_arg_set(pcb, EXT_ARG, NULL);
  return pcb;
}

void tcp_apply_options(struct tcp_sock *t) {
  const struct inet_opts *o = &t->i.opt;
  struct tcp_pcb *pcb = t->pcb;
  if (!pcb)
    return;
  u8 flags = (u8)((o->reuse ? SOF_REUSEADDR : 0) | (o->keepalive ? SOF_KEEPALIVE : 0));
  pcb->so_options = (u8)((pcb->so_options & ~(SOF_REUSEADDR | SOF_KEEPALIVE)) | flags);
  pcb->ttl = o->ttl ? o->ttl : TCP_TTL;
  pcb->tos = o->tos;
  if (t->state == TCP_LISTENING)
    return; /* a smaller structure, which ends here */
  if (o->nodelay)
    tcp_nagle_disable(pcb);
  else
    tcp_nagle_enable(pcb);
  pcb->keep_idle = o->keep_idle * 1000;
  pcb->keep_intvl = o->keep_interval * 1000;
  pcb->keep_cnt = o->keep_count;
  tcp_update_room(t);
}

/* A pcb to bind, listen or connect with. */
static int ensure_pcb(struct tcp_sock *t) {
  if (t->pcb)
    return 0;
  struct tcp_pcb *pcb = tcp_new_ip_type(inet_pcb_type(&t->i));
  if (!pcb)
    return -ENOBUFS;
  adopt(t, pcb);
  if (!t->i.bound)
    return 0;
  return inet_errno(tcp_bind(pcb, inet_bind_addr(&t->i, &t->i.local.ip), t->i.local.port));
}

/* Gives up a pcb that never was connected. */
static void drop_pcb(struct tcp_sock *t) {
  if (t->pcb)
    tcp_close(disown(t));
}

static struct tcp_sock *tcp_alloc_sock(int domain) {
  struct tcp_sock *t = kzalloc(sizeof *t);
  if (!t)
    return NULL;
  inet_init(&t->i, &tcp_ops, domain, SOCK_STREAM, IPPROTO_TCP);
  list_init(&t->accept_queue);
  list_init(&t->accept_node);
  return t;
}

int tcp_sock_create(int domain, int protocol, struct sock **out) {
  (void)protocol;
  struct tcp_sock *t = tcp_alloc_sock(domain);
  if (!t)
    return -ENOMEM;
  *out = &t->i.sock;
  return 0;
}

/* ---- binding, listening ---------------------------------------------------------------------- */

static int bind_locked(struct tcp_sock *t, const struct endpoint *e) {
  if (t->i.bound || t->state != TCP_NEW)
    return -EINVAL;
  if (!inet_addr_is_local(&e->ip))
    return -EADDRNOTAVAIL;
  int err = ensure_pcb(t);
  if (err)
    return err;
  err = tcp_bind(t->pcb, inet_bind_addr(&t->i, &e->ip), e->port);
  if (err)
    return -EADDRINUSE; /* also when all ports are taken, as Linux has it */
  t->i.bound = true;
  ip_addr_copy(t->i.local.ip, e->ip);
  t->i.local.port = t->pcb->local_port;
  return 0;
}

static int tcp_sock_bind(struct sock *s, const u8 *addr, u32 len) {
  struct tcp_sock *t = tcp_of(s);
  struct endpoint e;
  int err = inet_addr_get(&t->i, addr, len, &e);
  if (err == -ENETUNREACH)
    err = -EINVAL;
  if (!err && e.port && e.port < PORT_PRIVILEGED && !cred_is_root())
    err = -EACCES;
  if (err)
    return err;
  net_lock();
  err = bind_locked(t, &e);
  net_unlock();
  return err;
}

/* lwIP refuses SYNs beyond the half-open connections that still have a place to go. */
static void limit_half_open(struct tcp_sock *t) {
  struct tcp_pcb_listen *l = (struct tcp_pcb_listen *)t->pcb;
  u32 room = t->n_accept <= t->backlog ? t->backlog + 1 - t->n_accept : 0;
  if (room == 0)
    l->backlog = 0; /* not tcp_backlog_set, which knows no zero */
  else
    tcp_backlog_set(l, (u8)min_u64(room, HALF_OPEN_MAX));
}

static err_t on_accept(void *arg, struct tcp_pcb *pcb, err_t err) {
  struct tcp_sock *l = arg;
  if (!pcb || err)
    return ERR_VAL;
  struct tcp_sock *c = tcp_alloc_sock(l->i.sock.domain);
  if (!c)
    return ERR_MEM; /* lwIP resets the connection */
  c->i.opt = l->i.opt;
  c->state = TCP_CONNECTED;
  c->connect_reported = true;
  ip_addr_copy(c->i.peer.ip, pcb->remote_ip);
  c->i.peer.port = pcb->remote_port;
  c->i.bound = true;
  adopt(c, pcb);
  established(c);
  list_push_back(&l->accept_queue, &c->accept_node);
  __atomic_store_n(&l->n_accept, l->n_accept + 1, __ATOMIC_SEQ_CST);
  limit_half_open(l);
  wake(l, POLLIN);
  return ERR_OK;
}

static int start_listening(struct tcp_sock *t) {
  static const struct endpoint any4 = {IPADDR4_INIT(0), 0};
  struct endpoint any = any4;
  err_t e;
  int err;
  if (t->i.sock.domain == AF_INET6)
    ip_addr_set_any(true, &any.ip);
  if (!t->i.bound && (err = bind_locked(t, &any)))
    return err;
  if ((err = ensure_pcb(t)))
    return err;
  struct tcp_pcb *pcb = t->pcb;
  tcp_ext_arg_set_callbacks(pcb, EXT_ARG, &no_callbacks); /* lwIP replaces the pcb */
  struct tcp_pcb *l = tcp_listen_with_backlog_and_err(pcb, 1, &e);
  if (!l) {
    tcp_ext_arg_set_callbacks(pcb, EXT_ARG, &ext_callbacks);
    return inet_errno(e);
  }
  t->pcb = l;
  t->state = TCP_LISTENING;
  tcp_arg(l, t);
  tcp_accept(l, on_accept);
  return 0;
}

static int tcp_sock_listen(struct sock *s, int backlog) {
  struct tcp_sock *t = tcp_of(s);
  int err = 0;
  net_lock();
  if (t->state == TCP_NEW)
    err = start_listening(t);
  else if (t->state != TCP_LISTENING)
    err = -EINVAL;
  if (!err) {
    t->backlog = backlog < 0 || backlog > BACKLOG_MAX ? BACKLOG_MAX : (unsigned)backlog;
    limit_half_open(t);
  }
  net_unlock();
  return err;
}

static struct tcp_sock *accept_pop(struct tcp_sock *t) {
  struct list *n = list_pop_front(&t->accept_queue);
  if (!n)
    return NULL;
  __atomic_store_n(&t->n_accept, t->n_accept - 1, __ATOMIC_SEQ_CST);
  return list_entry(n, struct tcp_sock, accept_node);
}

static int tcp_sock_accept(struct sock *s, bool nonblock, struct sock **out, u8 *addr, u32 *len) {
  struct tcp_sock *t = tcp_of(s), *c;
  for (;;) {
    net_lock();
    bool listening = t->state == TCP_LISTENING;
    c = listening ? accept_pop(t) : NULL;
    if (c) {
      limit_half_open(t);
      if (addr)
        inet_addr_put(&c->i, &c->i.peer, addr, len);
    }
    net_unlock();
    if (c)
      break;
    if (!listening)
      return -EINVAL;
    if (nonblock)
      return -EAGAIN;
    int err = inet_wait(&t->i, t->n_accept || t->state != TCP_LISTENING, t->i.opt.recv_timeout);
    if (err)
      return err;
  }
  *out = &c->i.sock;
  return 0;
}

/* ---- connecting ------------------------------------------------------------------------------ */

/* connect of AF_UNSPEC: as good as new, but still bound. */
static void disconnect(struct tcp_sock *t) {
  if (t->pcb && t->state != TCP_NEW)
    tcp_abort(disown(t));
  tcp_rx_drop(t);
  t->state = TCP_NEW;
  t->rx_fin = t->i.rx_shut = t->i.tx_shut = t->connect_reported = t->i.has_peer = false;
  t->i.error = 0;
  if (!t->i.bound)
    t->i.local.port = 0;
}

static int connect_errno(int err) {
  return err == ERR_BUF || err == ERR_USE ? -EADDRNOTAVAIL : inet_errno(err);
}

static int start_connecting(struct tcp_sock *t, const struct endpoint *e) {
  if (ip_addr_ismulticast(&e->ip))
    return -ENETUNREACH;
  if (t->i.bound && !ip_addr_isany(&t->i.local.ip) && IP_IS_V6(&t->i.local.ip) != IP_IS_V6(&e->ip))
    return -ENETUNREACH;
  int err = ensure_pcb(t);
  if (err)
    return err;
  t->state = TCP_CONNECTING; /* lwIP may call back at once */
  err = tcp_connect(t->pcb, &e->ip, e->port, on_connected);
  if (err) {
    t->state = TCP_NEW;
    drop_pcb(t);
    return connect_errno(err);
  }
  t->i.peer = *e;
  t->i.rx_shut = t->i.tx_shut = t->rx_fin = t->connect_reported = false;
  refresh_local(t);
  return -EINPROGRESS;
}

/* What connect finds out about a connection that has been begun: -EALREADY while it is under way.
 */
static int connect_result(struct tcp_sock *t) {
  if (t->state == TCP_CONNECTING)
    return -EALREADY;
  if (t->state == TCP_CONNECTED) {
    bool first = !t->connect_reported;
    t->connect_reported = true;
    return first ? 0 : -EISCONN;
  }
  int err = inet_take_error(&t->i);
  t->state = TCP_NEW;
  t->i.has_peer = false;
  return err ? err : -ECONNABORTED;
}

static int tcp_sock_connect(struct sock *s, const u8 *addr, u32 len, bool nonblock) {
  struct tcp_sock *t = tcp_of(s);
  struct endpoint e;
  bool unspec = inet_addr_is_unspec(addr, len);
  int err = unspec ? 0 : inet_dest_get(&t->i, addr, len, &e);
  if (err)
    return err;
  if (!unspec)
    inet_await_network(&e.ip);
  net_lock();
  if (t->state == TCP_LISTENING)
    err = -EISCONN;
  else if (unspec)
    disconnect(t);
  else
    err = t->state == TCP_NEW ? start_connecting(t, &e) : connect_result(t);
  net_unlock();
  if (nonblock || (err != -EINPROGRESS && err != -EALREADY))
    return err;
  err = inet_wait(&t->i, t->state != TCP_CONNECTING, t->i.opt.send_timeout);
  if (err)
    return err == -EAGAIN ? -EINPROGRESS : err;
  net_lock();
  err = connect_result(t);
  net_unlock();
  return err;
}

/* ---- closing --------------------------------------------------------------------------------- */

static void release_locked(struct tcp_sock *t);

static void stop_listening(struct tcp_sock *t) {
  struct tcp_sock *c;
  struct tcp_pcb *l = t->pcb;
  t->pcb = NULL;
  t->state = TCP_NEW;
  t->i.bound = false;
  tcp_arg(l, NULL);
  tcp_accept(l, NULL);
  tcp_close(l);
  while ((c = accept_pop(t))) {
    if (c->pcb)
      tcp_abort(disown(c));
    release_locked(c);
    kfree(c);
  }
}

static int tcp_sock_shutdown(struct sock *s, int how) {
  struct tcp_sock *t = tcp_of(s);
  bool read = how != 1, write = how != 0;
  int err = 0;
  net_lock();
  if (t->state == TCP_LISTENING) {
    if (read)
      stop_listening(t);
  } else if (t->state == TCP_CONNECTING) {
    disconnect(t);
  } else if (t->state != TCP_CONNECTED || !t->pcb) {
    err = -ENOTCONN;
  } else {
    t->i.rx_shut |= read;
    if (write && !t->i.tx_shut) {
      t->i.tx_shut = true;
      tcp_shutdown(t->pcb, 0, 1);
    }
  }
  wake(t, ALL_EVENTS);
  net_unlock();
  return err;
}

/* Everything sent has been acknowledged, or never will be. */
static bool is_flushed(struct tcp_sock *t) {
  net_lock();
  bool flushed = !t->pcb || (!t->pcb->unsent && !t->pcb->unacked);
  net_unlock();
  return flushed;
}

/* SO_LINGER: close waits for the peer to have got everything. */
static void linger(struct tcp_sock *t) {
  net_lock();
  bool wait = t->state == TCP_CONNECTED && t->pcb && t->i.opt.linger_on && t->i.opt.linger;
  if (wait && !t->i.tx_shut) {
    t->i.tx_shut = true;
    tcp_shutdown(t->pcb, 0, 1);
  }
  net_unlock();
  if (!wait)
    return;
  u64 deadline = plat_now() + t->i.opt.linger * NSEC_PER_SEC;
  while (!is_flushed(t) && plat_now() < deadline) {
    /* on_poll wakes us while the connection lives */
    struct waiter w = {.thread = NULL};
    waitq_prepare(&t->i.sock.wait, &w, THREAD_SLEEPING);
    bool stop = is_flushed(t) || signal_pending();
    if (!stop)
      schedule_until(deadline);
    waitq_finish(&w);
    if (stop)
      break;
  }
}

/* Unread data, or a linger time of 0, resets the connection. */
static void close_connection(struct tcp_sock *t) {
  bool reset = t->rx_bytes || (t->i.opt.linger_on && t->i.opt.linger == 0);
  struct tcp_pcb *pcb = disown(t);
  if (reset) {
    tcp_abort(pcb);
    return;
  }
  pcb->rcv_wnd = TCP_WND_MAX(pcb); /* lwIP takes a smaller one for unread data */
  tcp_close(pcb);
}

static void release_locked(struct tcp_sock *t) {
  if (t->state == TCP_LISTENING)
    stop_listening(t);
  else if (t->pcb)
    close_connection(t);
  tcp_rx_drop(t);
}

static void tcp_sock_release(struct sock *s) {
  struct tcp_sock *t = tcp_of(s);
  linger(t);
  net_lock();
  release_locked(t);
  net_unlock();
  kfree(t);
}

static const struct sock_ops tcp_ops = {
    .bind = tcp_sock_bind,
    .listen = tcp_sock_listen,
    .accept = tcp_sock_accept,
    .connect = tcp_sock_connect,
    .getname = inet_getname,
    .send = tcp_sock_send,
    .recv = tcp_sock_recv,
    .shutdown = tcp_sock_shutdown,
    .setsockopt = inet_setsockopt,
    .getsockopt = inet_getsockopt,
    .ioctl = inet_ioctl,
    .poll = tcp_sock_poll,
    .release = tcp_sock_release,
};
