/* SPDX-License-Identifier: MIT */
/* The life of Unix sockets: making, connecting, accepting, closing. */
#include "kernel/ipc/unix.h"

#include "kernel/kassert.h"
#include "kernel/mm/kmalloc.h"
#include "kernel/proc/proc.h"
#include "kernel/syscall/syscall.h"
#include "lib/string.h"

static const struct sock_ops unix_ops;

struct unix_cred unix_cred_now(void) {
  struct proc *p = proc_current();
  return (struct unix_cred){p->pid, p->cred.euid, p->cred.egid};
}

/* ---- references ------------------------------------------------------------------------ */

void unix_get(struct unix_sock *u) { __atomic_add_fetch(&u->refs, 1, __ATOMIC_RELAXED); }

static void drop_packets(struct unix_sock *u) {
  struct list *n;
  while ((n = list_pop_front(&u->packets)))
    unix_packet_free(list_entry(n, struct unix_packet, node));
}

void unix_put(struct unix_sock *u) {
  if (__atomic_sub_fetch(&u->refs, 1, __ATOMIC_ACQ_REL) != 0)
    return;
  kassert(!u->peer && !u->inode && list_empty(&u->name_node) && list_empty(&u->senders));
  drop_packets(u);
  kfree_as(KMEM_SOCKET, u);
}

struct unix_sock *unix_alloc(int type) {
  struct unix_sock *u = kzalloc_as(KMEM_SOCKET, sizeof *u);
  if (!u)
    return NULL;
  u->sock = (struct sock){.ops = &unix_ops, .domain = AF_UNIX, .type = type};
  waitq_init(&u->sock.wait);
  waitq_init(&u->room);
  mutex_init(&u->recv_lock);
  u->refs = 1;
  list_init(&u->senders);
  list_init(&u->peer_node);
  list_init(&u->packets);
  list_init(&u->accept_queue);
  list_init(&u->accept_node);
  list_init(&u->name_node);
  list_init(&u->flight_node);
  list_init(&u->gc_node);
  return u;
}

static bool type_is_known(int type) {
  return type == SOCK_STREAM || type == SOCK_DGRAM || type == SOCK_SEQPACKET;
}

int unix_sock_create(int type, int protocol, struct sock **out) {
  if (protocol != 0 && protocol != AF_UNIX)
    return -EPROTONOSUPPORT;
  if (!type_is_known(type))
    return -ESOCKTNOSUPPORT;
  struct unix_sock *u = unix_alloc(type);
  if (!u)
    return -ENOMEM;
  *out = &u->sock;
  return 0;
}

/* ---- peers ----------------------------------------------------------------------------- */

struct unix_sock *unix_peer_get(struct unix_sock *u) {
  spin_lock(&u->lock);
  struct unix_sock *peer = u->peer;
  if (peer)
    unix_get(peer);
  spin_unlock(&u->lock);
  return peer;
}

void unix_set_peer(struct unix_sock *u, struct unix_sock *to) {
  spin_lock(&u->lock);
  struct unix_sock *old = u->peer;
  u->peer = NULL;
  spin_unlock(&u->lock);
  if (old) {
    spin_lock(&old->lock);
    list_remove(&u->peer_node);
    spin_unlock(&old->lock);
    unix_put(old);
  }
  if (!to)
    return;
  unix_get(to);
  spin_lock(&to->lock);
  list_push_back(&to->senders, &u->peer_node);
  spin_unlock(&to->lock);
  spin_lock(&u->lock);
  UNIX_STORE(u->peer, to);
  spin_unlock(&u->lock);
}

/* Joins two stream ends. Neither is visible to others yet, or the caller owns the connecting one.
 */
static void join(struct unix_sock *a, struct unix_sock *b) {
  unix_set_peer(a, b);
  unix_set_peer(b, a);
  UNIX_STORE(a->state, UNIX_CONNECTED);
  UNIX_STORE(b->state, UNIX_CONNECTED);
}

int unix_sock_pair(int type, struct sock *out[2]) {
  if (!type_is_known(type))
    return -ESOCKTNOSUPPORT;
  struct unix_sock *a = unix_alloc(type), *b = unix_alloc(type);
  if (!a || !b) {
    if (a)
      unix_put(a);
    if (b)
      unix_put(b);
    return -ENOMEM;
  }
  join(a, b);
  a->peer_cred = b->peer_cred = unix_cred_now();
  a->has_cred = b->has_cred = true;
  out[0] = &a->sock;
  out[1] = &b->sock;
  return 0;
}

/* ---- closing --------------------------------------------------------------------------- */

/* The other end of a stream learns that u is gone. */
static void leave_peer(struct unix_sock *u, struct unix_sock *peer, bool lost_data) {
  spin_lock(&peer->lock);
  if (u->sock.type != SOCK_DGRAM) {
    UNIX_STORE(peer->peer_gone, true);
    if (lost_data)
      peer->error = ECONNRESET;
  }
  waitq_wake(&peer->sock.wait, 0, POLLIN | POLLOUT | POLLHUP | POLLRDHUP, 0);
  spin_unlock(&peer->lock);
}

static void close_sock(struct unix_sock *u);

static void close_pending(struct unix_sock *u) {
  for (;;) {
    spin_lock(&u->lock);
    struct list *n = list_pop_front(&u->accept_queue);
    spin_unlock(&u->lock);
    if (!n)
      return;
    struct unix_sock *c = list_entry(n, struct unix_sock, accept_node);
    close_sock(c);
    unix_put(c);
  }
}

static void close_sock(struct unix_sock *u) {
  unix_unbind(u);
  spin_lock(&u->lock);
  UNIX_STORE(u->state, UNIX_CLOSED);
  bool lost_data = !list_empty(&u->packets);
  struct unix_sock *peer = u->peer;
  if (peer)
    unix_get(peer);
  struct list packets;
  list_init(&packets);
  struct list *n;
  while ((n = list_pop_front(&u->packets)))
    list_push_back(&packets, n);
  UNIX_STORE(u->queued, 0);
  waitq_wake(&u->room, 0, 0, 0);
  waitq_wake(&u->sock.wait, 0, POLLIN | POLLOUT | POLLHUP, 0);
  /* Datagram sockets connected to us learn at their next send. */
  struct unix_sock *s;
  list_for_each(s, &u->senders, peer_node) waitq_wake(&s->sock.wait, 0, POLLOUT | POLLHUP, 0);
  spin_unlock(&u->lock);
  while ((n = list_pop_front(&packets)))
    unix_packet_free(list_entry(n, struct unix_packet, node)); /* may close files: no locks */
  close_pending(u);
  if (peer) {
    leave_peer(u, peer, lost_data);
    unix_set_peer(u, NULL);
    unix_put(peer);
  }
}

/* Others may still hold references as our senders or sleepers, so senders unlink themselves later;
   they must not find u freed: each holds a reference to u. */
static void unix_release(struct sock *s) {
  close_sock(unix_of(s));
  unix_put(unix_of(s));
}

static void shut(struct unix_sock *u, bool read, bool write) {
  spin_lock(&u->lock);
  UNIX_STORE(u->shut_read, u->shut_read || read);
  UNIX_STORE(u->shut_write, u->shut_write || write);
  waitq_wake(&u->sock.wait, 0, POLLIN | POLLOUT | POLLHUP | POLLRDHUP, 0);
  spin_unlock(&u->lock);
}

static int unix_shutdown(struct sock *s, int how) {
  struct unix_sock *u = unix_of(s);
  struct unix_sock *peer = unix_peer_get(u);
  if (!peer && !UNIX_LOOK(u->peer_gone))
    return -ENOTCONN;
  shut(u, how == 0 || how == 2, how == 1 || how == 2);
  if (!peer)
    return 0;
  if (s->type != SOCK_DGRAM)
    shut(peer, how == 1 || how == 2, how == 0 || how == 2);
  unix_put(peer);
  return 0;
}

/* ---- connecting ------------------------------------------------------------------------ */

static int unix_listen(struct sock *s, int backlog) {
  struct unix_sock *u = unix_of(s);
  int err = 0;
  if (s->type == SOCK_DGRAM)
    return -EOPNOTSUPP;
  spin_lock(&u->lock);
  if (u->state == UNIX_LISTENING || (u->state == UNIX_NEW && u->addr_len)) {
    UNIX_STORE(u->state, UNIX_LISTENING);
    UNIX_STORE(u->backlog,
               backlog < 0 || backlog > UNIX_BACKLOG_MAX ? UNIX_BACKLOG_MAX : (unsigned)backlog);
    u->peer_cred = unix_cred_now();
    u->has_cred = true;
  } else {
    err = -EINVAL;
  }
  spin_unlock(&u->lock);
  return err;
}

/* Puts the new end c into the listener's queue. -EAGAIN: full. */
static int enqueue(struct unix_sock *l, struct unix_sock *c) {
  int err = 0;
  spin_lock(&l->lock);
  if (l->state != UNIX_LISTENING || l->shut_read) {
    err = -ECONNREFUSED;
  } else if (l->n_accept > l->backlog) {
    err = -EAGAIN;
  } else {
    list_push_back(&l->accept_queue, &c->accept_node);
    UNIX_STORE(l->n_accept, l->n_accept + 1);
    waitq_wake(&l->sock.wait, 1, POLLIN, WAKE_SYNC);
  }
  spin_unlock(&l->lock);
  return err;
}

static bool has_room_for_connection(struct unix_sock *l) {
  return UNIX_LOOK(l->state) != UNIX_LISTENING || UNIX_LOOK(l->n_accept) <= UNIX_LOOK(l->backlog);
}

static u64 deadline_of(u64 timeout) { return timeout ? plat_now() + timeout : UINT64_MAX; }

static int connect_stream(struct unix_sock *u, struct unix_sock *l, bool nonblock) {
  struct unix_sock *c = unix_alloc(u->sock.type);
  if (!c)
    return -ENOMEM;
  spin_lock(&l->lock);
  memcpy(c->addr, l->addr, sizeof c->addr);
  c->addr_len = l->addr_len;
  u->peer_cred = l->peer_cred;
  UNIX_STORE(c->passcred, UNIX_LOOK(l->passcred));
  spin_unlock(&l->lock);
  c->peer_cred = unix_cred_now();
  u->has_cred = c->has_cred = true;
  join(u, c);
  int err;
  while ((err = enqueue(l, c)) == -EAGAIN && !nonblock) {
    err = waitq_wait_until(&l->room, has_room_for_connection(l), deadline_of(u->send_timeout));
    if (err) {
      err = err == -ETIMEDOUT ? -EAGAIN : err;
      break;
    }
  }
  if (err) {
    close_sock(c);
    unix_put(c);
    unix_set_peer(u, NULL);
    UNIX_STORE(u->peer_gone, false);
    UNIX_STORE(u->state, UNIX_NEW);
  }
  return err;
}

static int connect_dgram(struct unix_sock *u, const u8 *addr, u32 len) {
  struct unix_sock *to;
  if (len >= 2 && addr[0] == 0 && addr[1] == 0) { /* AF_UNSPEC: dissolve */
    unix_set_peer(u, NULL);
    UNIX_STORE(u->state, UNIX_NEW);
    return 0;
  }
  int err = unix_lookup(addr, len, SOCK_DGRAM, &to);
  if (err)
    return err;
  unix_set_peer(u, to);
  UNIX_STORE(u->state, UNIX_CONNECTED);
  unix_put(to);
  return 0;
}

static int unix_connect(struct sock *s, const u8 *addr, u32 len, bool nonblock) {
  struct unix_sock *u = unix_of(s), *l;
  if (s->type == SOCK_DGRAM)
    return connect_dgram(u, addr, len);
  spin_lock(&u->lock);
  enum unix_state state = UNIX_LOOK(u->state);
  int err = state == UNIX_NEW ? 0 : state == UNIX_CONNECTED ? -EISCONN : -EINVAL;
  spin_unlock(&u->lock);
  if (err)
    return err;
  err = unix_lookup(addr, len, s->type, &l);
  if (err)
    return err;
  err = connect_stream(u, l, nonblock);
  unix_put(l);
  return err;
}

static struct unix_sock *dequeue(struct unix_sock *l, int *err) {
  spin_lock(&l->lock);
  struct list *n = l->state == UNIX_LISTENING ? list_pop_front(&l->accept_queue) : NULL;
  *err = l->state == UNIX_LISTENING && !l->shut_read ? -EAGAIN : -EINVAL;
  if (n) {
    UNIX_STORE(l->n_accept, l->n_accept - 1);
    waitq_wake(&l->room, 1, 0, 0);
  }
  spin_unlock(&l->lock);
  return n ? list_entry(n, struct unix_sock, accept_node) : NULL;
}

static int unix_getname(struct sock *s, bool peer, u8 *addr, u32 *len) {
  struct unix_sock *u = unix_of(s), *of = u;
  if (peer) {
    of = unix_peer_get(u);
    if (!of)
      return -ENOTCONN;
  }
  spin_lock(&of->lock);
  memset(addr, 0, SOCKADDR_MAX);
  addr[0] = AF_UNIX;
  *len = 2;
  if (of->addr_len) {
    memcpy(addr, of->addr, of->addr_len);
    *len = of->addr_len;
  }
  spin_unlock(&of->lock);
  if (peer)
    unix_put(of);
  return 0;
}

static int unix_accept(struct sock *s, bool nonblock, struct sock **out, u8 *addr, u32 *len) {
  struct unix_sock *l = unix_of(s), *c;
  int err;
  while (!(c = dequeue(l, &err))) {
    if (err != -EAGAIN || nonblock)
      return err;
    err = waitq_wait_until(&s->wait,
                           UNIX_LOOK(l->n_accept) || UNIX_LOOK(l->state) != UNIX_LISTENING ||
                               UNIX_LOOK(l->shut_read),
                           deadline_of(l->recv_timeout));
    if (err)
      return err == -ETIMEDOUT ? -EAGAIN : err;
  }
  *out = &c->sock;
  if (addr && unix_getname(&c->sock, true, addr, len))
    *len = 0;
  return 0;
}

static const struct sock_ops unix_ops = {
    .bind = unix_bind,
    .listen = unix_listen,
    .accept = unix_accept,
    .connect = unix_connect,
    .getname = unix_getname,
    .send = unix_send,
    .recv = unix_recv,
    .shutdown = unix_shutdown,
    .setsockopt = unix_setsockopt,
    .getsockopt = unix_getsockopt,
    .ioctl = unix_ioctl,
    .poll = unix_poll,
    .release = unix_release,
};
