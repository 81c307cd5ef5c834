/* SPDX-License-Identifier: MIT */
/* Sending and receiving on Unix sockets, and their readiness. */
#include "kernel/errno.h"
#include "kernel/ipc/unix.h"
#include "kernel/mm/kmalloc.h"
#include "lib/string.h"

static u64 cost(const struct unix_packet *p) { return sizeof *p + p->size; }

static u64 deadline_of(u64 timeout) { return timeout ? plat_now() + timeout : UINT64_MAX; }

/* ---- packets --------------------------------------------------------------------------- */

void unix_packet_free(struct unix_packet *p) {
  unix_rights_free(p->rights);
  kfree_as(KMEM_SOCKET, p);
}

/* n bytes from the message, with the sender's name behind the data of datagrams. */
static int packet_create(struct unix_sock *u, struct msg *m, size_t n, struct unix_packet **out) {
  u32 addr_len = u->sock.type == SOCK_DGRAM ? u->addr_len : 0;
  struct unix_packet *p = kmalloc_as(KMEM_SOCKET, sizeof *p + n + addr_len);
  if (!p)
    return -ENOMEM;
  memset(p, 0, sizeof *p);
  i64 got = n ? uio_read_from(m->data, p->data, n) : 0;
  if (got < 0) {
    kfree_as(KMEM_SOCKET, p);
    return (int)got;
  }
  p->size = (u32)got;
  if (addr_len) {
    p->addr = p->data + n;
    p->addr_len = addr_len;
    memcpy(p->addr, u->addr, addr_len);
  }
  *out = p;
  return 0;
}

/* Whether another packet may be queued, of any size: the last one may go beyond the limit. What
   poll and a sender believe must be the same, or a program would ask both for ever. */
static bool has_room(const struct unix_sock *to) {
  if (UNIX_LOOK(to->state) == UNIX_CLOSED || UNIX_LOOK(to->shut_read))
    return true; /* sending fails, so there is no point in waiting */
  return UNIX_LOOK(to->queued) < UNIX_QUEUE_MAX;
}

/* Appends p, which is consumed on success. */
static int deliver(struct unix_sock *to, struct unix_packet *p) {
  int err = 0;
  spin_lock(&to->lock);
  if (to->state == UNIX_CLOSED)
    err = to->sock.type == SOCK_DGRAM ? -ECONNREFUSED : -EPIPE;
  else if (to->shut_read)
    err = -EPIPE;
  if (!err) {
    list_push_back(&to->packets, &p->node);
    UNIX_STORE(to->queued, to->queued + cost(p));
    waitq_wake(&to->sock.wait, 1, POLLIN, WAKE_SYNC);
  }
  spin_unlock(&to->lock);
  return err;
}

/* ---- sending --------------------------------------------------------------------------- */

/* Where the message goes, with a reference. */
static int destination(struct unix_sock *u, struct msg *m, struct unix_sock **to) {
  if (m->addr && m->addr_len && u->sock.type != SOCK_SEQPACKET) { /* which does not look at it */
    if (u->sock.type != SOCK_DGRAM)
      return UNIX_LOOK(u->state) == UNIX_CONNECTED ? -EISCONN : -EOPNOTSUPP;
    return unix_lookup(m->addr, m->addr_len, SOCK_DGRAM, to);
  }
  *to = unix_peer_get(u);
  if (*to)
    return 0;
  return UNIX_LOOK(u->peer_gone) ? -EPIPE : -ENOTCONN;
}

/* Sleeps until `to` can take a packet. Connected senders are woken on their own queue, others on
 * room. */
static int await_room(struct unix_sock *u, struct unix_sock *to, bool nonblock) {
  if (has_room(to))
    return 0;
  if (nonblock)
    return -EAGAIN;
  struct waitq *q = UNIX_LOOK(u->peer) == to ? &u->sock.wait : &to->room;
  int err =
      waitq_wait_until(q, has_room(to) || UNIX_LOOK(u->shut_write), deadline_of(u->send_timeout));
  return err == -ETIMEDOUT ? -EAGAIN : err;
}

/* One packet of n bytes; takes over ctl's rights if it is sent. */
static i64 send_packet(struct unix_sock *u, struct unix_sock *to, struct msg *m, size_t n,
                       struct unix_control *ctl, bool nonblock) {
  struct unix_packet *p = NULL;
  int err = await_room(u, to, nonblock);
  if (!err && (UNIX_LOOK(u->shut_write) || UNIX_LOOK(u->peer_gone)))
    err = -EPIPE;
  if (!err)
    err = packet_create(u, m, n, &p);
  if (err)
    return err;
  u32 size = p->size;
  p->cred = ctl->cred;
  p->cred_explicit = ctl->cred_explicit;
  p->rights = ctl->rights;
  err = deliver(to, p);
  if (err) {
    p->rights = NULL;
    unix_packet_free(p);
    return err;
  }
  ctl->rights = NULL;
  return size;
}

static i64 send_stream(struct unix_sock *u, struct unix_sock *to, struct msg *m,
                       struct unix_control *ctl, bool nonblock) {
  i64 sum = 0;
  while (m->data->left > 0) {
    size_t n = min_u64(m->data->left, UNIX_CHUNK_MAX);
    i64 sent = send_packet(u, to, m, n, ctl, nonblock);
    if (sent < 0)
      return sum ? sum : sent;
    sum += sent;
  }
  return sum;
}

i64 unix_send(struct sock *s, struct msg *m, bool nonblock) {
  struct unix_sock *u = unix_of(s), *to;
  struct unix_control ctl = {.cred = unix_cred_now()};
  if (m->flags & MSG_OOB)
    return -EOPNOTSUPP;
  int err = unix_control_parse(m->control, m->control_len, &ctl);
  if (err)
    return err;
  i64 ret = destination(u, m, &to);
  if (!ret) {
    if (s->type == SOCK_STREAM)
      ret = send_stream(u, to, m, &ctl, nonblock);
    else if (m->data->left > UNIX_QUEUE_MAX - sizeof(struct unix_packet))
      ret = -EMSGSIZE;
    else
      ret = send_packet(u, to, m, m->data->left, &ctl, nonblock);
    unix_put(to);
  }
  unix_rights_free(ctl.rights);
  return ret;
}

/* ---- receiving ------------------------------------------------------------------------- */

static struct unix_packet *first_packet(struct unix_sock *u) {
  spin_lock(&u->lock);
  struct unix_packet *p =
      list_empty(&u->packets) ? NULL : list_first(&u->packets, struct unix_packet, node);
  spin_unlock(&u->lock);
  return p;
}

/* The first packet has been read to its end: those who wait for room are woken. recv_lock held. */
static void consume(struct unix_sock *u, struct unix_packet *p) {
  struct unix_sock *s;
  spin_lock(&u->lock);
  list_remove(&p->node);
  UNIX_STORE(u->queued, u->queued - cost(p));
  if (u->queued <= UNIX_QUEUE_MAX / 2 || list_empty(&u->packets)) {
    list_for_each(s, &u->senders, peer_node) waitq_wake(&s->sock.wait, 0, POLLOUT, WAKE_SYNC);
    waitq_wake(&u->room, 0, POLLOUT, WAKE_SYNC);
  }
  spin_unlock(&u->lock);
  unix_packet_free(p);
}

static bool at_end(const struct unix_sock *u) {
  return UNIX_LOOK(u->shut_read) || (u->sock.type != SOCK_DGRAM &&
                                     (UNIX_LOOK(u->peer_gone) || UNIX_LOOK(u->state) == UNIX_NEW));
}

/* No packet is there: what recv returns, or sleeps and returns 1 to look again. recv_lock not held.
 */
static i64 await_packet(struct unix_sock *u, bool nonblock) {
  if (u->sock.type != SOCK_DGRAM && UNIX_LOOK(u->state) != UNIX_CONNECTED)
    return u->sock.type == SOCK_STREAM ? -EINVAL : -ENOTCONN;
  spin_lock(&u->lock);
  bool arrived = !list_empty(&u->packets), end = at_end(u);
  spin_unlock(&u->lock);
  if (arrived) /* since it was looked for; it comes before the end that may have followed it */
    return 1;
  if (end) {
    i32 err = __atomic_exchange_n(&u->error, 0, __ATOMIC_ACQ_REL);
    return -err;
  }
  if (nonblock)
    return -EAGAIN;
  int err = waitq_wait_until(&u->sock.wait, !list_seems_empty(&u->packets) || at_end(u),
                             deadline_of(u->recv_timeout));
  if (err)
    return err == -ETIMEDOUT ? -EAGAIN : err;
  return 1;
}

static void store_sender(struct msg *m, const struct unix_packet *p) {
  m->addr_len = p->addr_len;
  if (m->addr && p->addr_len)
    memcpy(m->addr, p->addr, p->addr_len);
}

/* One whole packet; what does not fit is lost. recv_lock held. */
static i64 recv_packet(struct unix_sock *u, struct unix_packet *p, struct msg *m) {
  bool peek = m->flags & MSG_PEEK;
  u32 in = m->flags;
  u64 room = m->data->left;
  size_t n = min_u64(room, p->size);
  i64 got = n ? uio_write_to(m->data, p->data, n) : 0;
  if (got < 0)
    return got;
  m->flags = p->size > room ? MSG_TRUNC : 0;
  store_sender(m, p);
  unix_control_emit(m, p, UNIX_LOOK(u->passcred), in & MSG_CMSG_CLOEXEC, peek);
  i64 ret = in & MSG_TRUNC ? (i64)p->size : got;
  if (!peek)
    consume(u, p);
  return ret;
}

/* Bytes of the first packets up to one that carries ancillary data after the first. recv_lock held.
 */
static i64 recv_bytes(struct unix_sock *u, struct unix_packet *p, struct msg *m, u32 in) {
  bool peek = in & MSG_PEEK, told = false;
  i64 sum = 0;
  while (p && m->data->left > 0) {
    if (p->rights && told)
      break;
    i64 got = uio_write_to(m->data, p->data + p->off, min_u64(m->data->left, p->size - p->off));
    if (got < 0)
      return sum ? sum : got;
    sum += got;
    if (!told) {
      bool had_rights = p->rights;
      unix_control_emit(m, p, UNIX_LOOK(u->passcred), in & MSG_CMSG_CLOEXEC, peek);
      told = true;
      if (had_rights && p->off + (u32)got < p->size) {
        p->off += peek ? 0 : (u32)got;
        break;
      }
    }
    if (peek)
      break;
    p->off += (u32)got;
    if (p->off < p->size)
      break;
    consume(u, p);
    p = first_packet(u);
  }
  return sum;
}

i64 unix_recv(struct sock *s, struct msg *m, bool nonblock) {
  struct unix_sock *u = unix_of(s);
  u32 in = m->flags;
  bool stream = s->type == SOCK_STREAM;
  i64 sum = 0;
  m->control_len = 0;
  m->addr_len = 0;
  if (in & MSG_OOB)
    return -EOPNOTSUPP;
  if (stream)
    m->flags = 0;
  for (;;) {
    mutex_lock(&u->recv_lock);
    struct unix_packet *p = first_packet(u);
    i64 n = !p ? 0 : stream ? recv_bytes(u, p, m, in) : recv_packet(u, p, m);
    mutex_unlock(&u->recv_lock);
    if (p && !stream)
      return n;
    if (n < 0)
      return sum ? sum : n;
    sum += n;
    bool more = (in & MSG_WAITALL) && !(in & MSG_PEEK) && m->data->left > 0;
    if (sum > 0 && !more)
      return sum;
    if (stream && m->data->left == 0)
      return sum;
    n = await_packet(u, nonblock);
    if (n <= 0)
      return sum ? sum : n;
  }
}

u32 unix_readable(struct unix_sock *u) {
  struct unix_packet *p;
  u64 n = 0;
  spin_lock(&u->lock);
  list_for_each(p, &u->packets, node) {
    n += p->size - p->off;
    if (u->sock.type != SOCK_STREAM)
      break;
  }
  spin_unlock(&u->lock);
  return (u32)n;
}

/* ---- readiness ------------------------------------------------------------------------- */

static bool is_writable(struct unix_sock *u) {
  struct unix_sock *peer = unix_peer_get(u);
  bool ok = true;
  if (peer) {
    ok = has_room(peer);
    unix_put(peer);
  }
  return ok;
}

u32 unix_poll(struct sock *s, struct poller *p) {
  struct unix_sock *u = unix_of(s);
  u32 r = 0;
  bool stream = s->type != SOCK_DGRAM;
  poll_wait(p, &s->wait);
  spin_lock(&u->lock);
  enum unix_state state = u->state;
  if (!list_empty(&u->packets) || u->shut_read || u->peer_gone || u->n_accept)
    r |= POLLIN | POLLRDNORM;
  if (stream && (u->peer_gone || u->shut_read))
    r |= POLLRDHUP;
  if (stream && (u->peer_gone || (u->shut_read && u->shut_write) || state == UNIX_NEW))
    r |= POLLHUP;
  if (u->error)
    r |= POLLERR;
  spin_unlock(&u->lock);
  if (state != UNIX_LISTENING &&
      (UNIX_LOOK(u->shut_write) || UNIX_LOOK(u->peer_gone) || is_writable(u)))
    r |= POLLOUT | POLLWRNORM;
  return r;
}
