/* SPDX-License-Identifier: MIT */
/* Sending and receiving on TCP sockets, and their readiness. */
#include "kernel/kassert.h"
#include "lib/string.h"
#include "lwip/priv/tcp_priv.h"
#include "lwip/tcp.h"
#include "plat/pc/net/inet.h"

#define SMALL 1024     /* sent from the stack */
#define QUEUE_SPARE 64 /* pbufs that one write may need */

/* ---- room ------------------------------------------------------------------------------------ */

void tcp_update_room(struct tcp_sock *t) {
  u32 room = 0;
  if (t->pcb && t->state == TCP_CONNECTED && !t->i.tx_shut) {
    u32 used = TCP_SND_BUF - t->pcb->snd_buf;
    if (used < t->i.opt.sndbuf && tcp_sndqueuelen(t->pcb) < TCP_SND_QUEUELEN - QUEUE_SPARE)
      room = t->i.opt.sndbuf - used;
  }
  __atomic_store_n(&t->tx_room, room, __ATOMIC_SEQ_CST);
}

u32 tcp_room_wanted(const struct tcp_sock *t) { return t->i.opt.sndbuf / 3; }

bool tcp_is_gone(const struct tcp_sock *t) {
  return t->state == TCP_FAILED || (t->state == TCP_CONNECTED && !t->pcb);
}

static bool cannot_send(const struct tcp_sock *t) {
  return t->i.tx_shut || tcp_is_gone(t) || t->state == TCP_NEW || t->state == TCP_LISTENING;
}

/* Enough room for those who had too little, told in a way that on_sent hears of it. */
static bool has_room(struct tcp_sock *t, u32 wanted) {
  if (__atomic_load_n(&t->tx_room, __ATOMIC_SEQ_CST) >= wanted)
    return true;
  __atomic_store_n(&t->tx_blocked, true, __ATOMIC_SEQ_CST);
  return __atomic_load_n(&t->tx_room, __ATOMIC_SEQ_CST) >= wanted;
}

/* ---- sending --------------------------------------------------------------------------------- */

/* Waits until something can be sent. */
static int await_room(struct tcp_sock *t, bool nonblock) {
  for (;;) {
    if (cannot_send(t)) {
      int err = inet_take_error(&t->i);
      return err ? err : -EPIPE;
    }
    if (has_room(t, 1))
      return 0;
    if (nonblock)
      return -EAGAIN;
    int err = inet_wait(&t->i, cannot_send(t) || has_room(t, 1), t->i.opt.send_timeout);
    if (err)
      return err;
  }
}

/* Hands lwIP up to n bytes: how many it took, or -errno. Lock held. */
static i64 enqueue(struct tcp_sock *t, const u8 *buf, size_t n, bool more) {
  tcp_update_room(t);
  size_t k = min_u64(min_u64(n, t->tx_room), 0xffff);
  if (cannot_send(t))
    return -EPIPE;
  if (k == 0)
    return 0;
  more = more || k < n || t->i.opt.cork;
  int err =
      tcp_write(t->pcb, buf, (u16)k, (u8)(TCP_WRITE_FLAG_COPY | (more ? TCP_WRITE_FLAG_MORE : 0)));
  if (err == ERR_MEM) {
    /* Its queue or our memory is full: on_sent or on_poll opens it again. */
    __atomic_store_n(&t->tx_room, 0, __ATOMIC_SEQ_CST);
    tcp_output(t->pcb);
    return 0;
  }
  if (err)
    return inet_errno(err);
  if (!t->i.opt.cork || k < n)
    tcp_output(t->pcb);
  tcp_update_room(t);
  return (i64)k;
}

/* Sends n bytes of kernel memory: how many went before an error, or the error. */
static i64 send_buffer(struct tcp_sock *t, const u8 *buf, size_t n, bool more, bool nonblock) {
  size_t sum = 0;
  while (sum < n) {
    int err = await_room(t, nonblock);
    if (err)
      return sum ? (i64)sum : err;
    net_lock();
    i64 k = enqueue(t, buf + sum, n - sum, more);
    net_unlock();
    if (k < 0)
      return sum ? (i64)sum : k;
    sum += (size_t)k;
  }
  return (i64)sum;
}

static i64 send_pieces(struct tcp_sock *t, struct msg *m, u8 *buf, size_t size, bool nonblock) {
  i64 sum = 0;
  while (m->data->left > 0) {
    /* Nothing is copied that cannot be sent: what is left in the buffer would be lost. */
    int err = await_room(t, nonblock);
    if (err)
      return sum ? sum : err;
    size_t n = min_u64(min_u64(size, m->data->left), nonblock ? t->tx_room : size);
    if (n == 0)
      continue;
    i64 got = uio_read_from(m->data, buf, n);
    if (got <= 0)
      return sum ? sum : got;
    i64 sent = send_buffer(t, buf, (size_t)got, m->data->left > 0, nonblock);
    if (sent < 0)
      return sum ? sum : sent;
    sum += sent;
    if (sent < got)
      return sum;
  }
  return sum;
}

i64 tcp_sock_send(struct sock *s, struct msg *m, bool nonblock) {
  struct tcp_sock *t = tcp_of(s);
  u8 small[SMALL];
  if (m->flags & MSG_OOB)
    return -EOPNOTSUPP;
  if (t->state == TCP_CONNECTING) {
    if (nonblock)
      return -EAGAIN;
    int err = inet_wait(&t->i, t->state != TCP_CONNECTING, t->i.opt.send_timeout);
    if (err)
      return err;
  }
  if (m->data->left == 0 && cannot_send(t))
    return await_room(t, true);
  if (m->data->left <= SMALL)
    return send_pieces(t, m, small, SMALL, nonblock);
  u8 *buf = net_big_get();
  if (!buf)
    return send_pieces(t, m, small, SMALL, nonblock);
  i64 ret = send_pieces(t, m, buf, NET_BIG, nonblock);
  net_big_put(buf);
  return ret;
}

/* ---- receiving ------------------------------------------------------------------------------- */

static void pop_pbuf(struct tcp_sock *t) {
  struct pbuf *p = t->rx_head;
  t->rx_head = p->next;
  if (!t->rx_head)
    t->rx_tail = NULL;
  p->next = NULL;
  pbuf_free(p);
  t->rx_off = 0;
}

void tcp_rx_drop(struct tcp_sock *t) {
  while (t->rx_head)
    pop_pbuf(t);
  t->rx_bytes = 0;
}

/* Opens the window for n bytes, unless SO_RCVBUF wants it smaller. */
static void open_window(struct tcp_sock *t, u32 n) {
  u32 keep = (u32)min_u64(n, t->rx_withheld);
  t->rx_withheld -= keep;
  n -= keep;
  while (t->pcb && n > 0) {
    u16 k = (u16)min_u64(n, 0xffff);
    tcp_recved(t->pcb, k);
    n -= k;
  }
}

/* The first n bytes have been read. recv_lock held. */
static void consume(struct tcp_sock *t, size_t n) {
  net_lock();
  kassert(n <= t->rx_bytes);
  t->rx_bytes -= (u32)n;
  open_window(t, (u32)n);
  while (n > 0) {
    size_t k = min_u64(n, t->rx_head->len - t->rx_off);
    t->rx_off += (u32)k;
    n -= k;
    if (t->rx_off == t->rx_head->len)
      pop_pbuf(t);
  }
  net_unlock();
}

/* Copies up to n received bytes to the message, without consuming them; with MSG_TRUNC nothing is
   copied. Stack not locked, recv_lock held: n bytes are there and stay. */
static i64 copy_out(struct pbuf *p, size_t off, size_t n, struct msg *m, bool discard) {
  i64 sum = 0;
  while (n > 0) {
    if (off == p->len) {
      p = p->next;
      off = 0;
      continue;
    }
    size_t k = min_u64(n, p->len - off);
    i64 got = (i64)k;
    if (discard)
      uio_advance(m->data, k);
    else
      got = uio_write_to(m->data, (u8 *)p->payload + off, k);
    if (got <= 0)
      return sum ? sum : got;
    sum += got;
    if ((size_t)got < k)
      break;
    off += k;
    n -= k;
  }
  return sum;
}

/* What is there: bytes, 0 if nothing, -EFAULT. */
static i64 recv_some(struct tcp_sock *t, struct msg *m, u32 flags) {
  mutex_lock(&t->i.recv_lock);
  net_lock();
  size_t n = min_u64(t->rx_bytes, m->data->left);
  struct pbuf *p = t->rx_head;
  u32 off = t->rx_off;
  net_unlock();
  i64 got = n ? copy_out(p, off, n, m, flags & MSG_TRUNC) : 0;
  if (got > 0 && !(flags & MSG_PEEK))
    consume(t, (size_t)got);
  mutex_unlock(&t->i.recv_lock);
  return got;
}

static bool at_end(const struct tcp_sock *t) { return t->rx_fin || t->i.rx_shut || tcp_is_gone(t); }

/* Nothing is there: what recv returns, or sleeps and returns 1 to look again. */
static i64 await_data(struct tcp_sock *t, bool nonblock) {
  if (t->rx_bytes)
    return 1;
  if (t->state == TCP_LISTENING || t->state == TCP_NEW)
    return -ENOTCONN;
  if (at_end(t))
    return t->rx_fin ? 0 : inet_take_error(&t->i);
  if (nonblock)
    return -EAGAIN;
  int err =
      inet_wait(&t->i, t->rx_bytes || at_end(t) || t->state == TCP_NEW, t->i.opt.recv_timeout);
  return err ? err : 1;
}

i64 tcp_sock_recv(struct sock *s, struct msg *m, bool nonblock) {
  struct tcp_sock *t = tcp_of(s);
  u32 flags = m->flags;
  bool all = (flags & MSG_WAITALL) && !(flags & MSG_PEEK);
  i64 sum = 0;
  m->addr_len = 0; /* a connected stream names no sender */
  m->control_len = 0;
  m->flags = 0;
  if (flags & MSG_OOB)
    return -EINVAL;
  for (;;) {
    if (m->data->left == 0 && t->rx_bytes)
      return 0;
    i64 n = recv_some(t, m, flags);
    if (n < 0)
      return sum ? sum : n;
    sum += n;
    if (sum > 0 && (!all || m->data->left == 0))
      return sum;
    n = await_data(t, nonblock);
    if (n <= 0)
      return sum ? sum : n;
  }
}

/* ---- readiness ------------------------------------------------------------------------------- */

static u32 ready(struct tcp_sock *t) {
  u32 r = t->i.error ? POLLERR : 0;
  enum tcp_sock_state state = t->state;
  if (state == TCP_LISTENING)
    return r | (t->n_accept ? POLLIN | POLLRDNORM : 0);
  if (state == TCP_NEW)
    return r | POLLOUT | POLLWRNORM | POLLHUP;
  if (state == TCP_CONNECTING)
    return r;
  bool gone = tcp_is_gone(t), end = at_end(t);
  if (t->rx_bytes || end)
    r |= POLLIN | POLLRDNORM;
  if (end)
    r |= POLLRDHUP;
  if (gone || (end && t->i.tx_shut))
    r |= POLLHUP;
  if (gone || t->i.tx_shut || has_room(t, tcp_room_wanted(t)))
    r |= POLLOUT | POLLWRNORM;
  return r;
}

u32 tcp_sock_poll(struct sock *s, struct poller *p) {
  struct tcp_sock *t = tcp_of(s);
  poll_wait(p, &s->wait);
  u32 r = ready(t);
  if (r & POLLIN)
    return r;
  plat_poll_io(); /* for programs that poll without ever sleeping */
  return ready(t);
}
