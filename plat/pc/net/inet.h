/* SPDX-License-Identifier: MIT */
/*
 * AF_INET and AF_INET6 sockets over lwIP's raw API. For the files inet_*.c only.
 *
 * All fields are protected by the stack's lock, except that poll and the waits look at them without
 * it (they are single words, and whoever changes one wakes sock.wait afterwards). A receiver holds
 * recv_lock from finding data until it has consumed it, so that data can be copied to user memory
 * with the stack unlocked: what lwIP adds meanwhile goes to the end of the queue.
 */
#ifndef UFORK_PC_NET_INET_H
#define UFORK_PC_NET_INET_H

#include "kernel/errno.h"
#include "kernel/net/sock.h"
#include "lwip/ip.h"
#include "lwip/ip_addr.h"
#include "plat/pc/net/stack.h"

#define SOCK_RAW 3
#define IPPROTO_ICMP 1
#define IPPROTO_TCP 6
#define IPPROTO_UDP 17
#define IPPROTO_ICMPV6 58

/* What setsockopt has stored. */
struct inet_opts {
  bool reuse, keepalive, broadcast, v6only, nodelay, cork, linger_on;
  u8 tos, ttl; /* ttl 0: lwIP's own */
  u32 linger;  /* seconds */
  u32 keep_idle, keep_interval, keep_count;
  u32 rcvbuf, sndbuf;             /* bytes */
  u64 recv_timeout, send_timeout; /* ns, 0: none */
};

struct endpoint {
  ip_addr_t ip;
  u16 port;
};

struct inet_sock {
  struct sock sock; /* first: inet_of is a cast */
  struct inet_opts opt;
  i32 error;             /* SO_ERROR, positive; atomic */
  bool rx_shut, tx_shut; /* shutdown */
  bool bound;            /* by bind */
  bool has_peer;
  struct endpoint local, peer;
  struct mutex recv_lock; /* outside of the stack's lock */
};

static inline struct inet_sock *inet_of(struct sock *s) { return (struct inet_sock *)s; }

/* ---- inet_sock.c ----------------------------------------------------------------------------- */

void inet_init(struct inet_sock *i, const struct sock_ops *ops, int domain, int type, int protocol);
/* The pending error, negated, which is thereby taken. */
int inet_take_error(struct inet_sock *i);
/* -errno of an err_t of lwIP. */
int inet_errno(int err);
/* Deadline of a time-out that starts now. */
u64 inet_deadline(u64 timeout);
/* waitq_wait_until for a socket's time-outs: -EAGAIN when they are over. */
#define inet_wait(i, cond, timeout)                                                                \
  ({                                                                                               \
    int inet_err_ = waitq_wait_until(&(i)->sock.wait, (cond), inet_deadline(timeout));             \
    inet_err_ == -ETIMEDOUT ? -EAGAIN : inet_err_;                                                 \
  })
/* While DHCP has not answered yet, a destination that needs it waits. Lock not held. */
void inet_await_network(const ip_addr_t *to);

/* ---- inet_addr.c ----------------------------------------------------------------------------- */

/* A sockaddr as lwIP's address: mapped IPv4 becomes IPv4. -EINVAL (too short), -EAFNOSUPPORT,
   -ENETUNREACH (an IPv4 address for a socket of IPv6 only). */
int inet_addr_get(const struct inet_sock *i, const u8 *addr, u32 len, struct endpoint *out);
/* As inet_addr_get, for a destination: the unspecified address means this host. */
int inet_dest_get(const struct inet_sock *i, const u8 *addr, u32 len, struct endpoint *out);
/* The sockaddr of the socket's family for e; addr has SOCKADDR_MAX bytes. */
void inet_addr_put(const struct inet_sock *i, const struct endpoint *e, u8 *addr, u32 *len);
bool inet_addr_is_unspec(const u8 *addr, u32 len); /* family AF_UNSPEC */
/* For bind: the address is one of ours or unspecified. Lock held. */
bool inet_addr_is_local(const ip_addr_t *ip);
/* The type of lwIP's pcbs for this socket, and the address that bind gives to one. */
u8 inet_pcb_type(const struct inet_sock *i);
const ip_addr_t *inet_bind_addr(const struct inet_sock *i, const ip_addr_t *ip);
/* The address that packets to `to` would carry as their source, or NULL: no route. Lock held. */
const ip_addr_t *inet_source_for(const ip_addr_t *from, const ip_addr_t *to);
int inet_getname(struct sock *s, bool peer, u8 *addr, u32 *len);

/* ---- inet_option.c: sock_ops ----------------------------------------------------------------- */

int inet_setsockopt(struct sock *s, int level, int name, const void *val, u32 len);
int inet_getsockopt(struct sock *s, int level, int name, void *val, u32 *len);
i64 inet_ioctl(struct sock *s, u32 cmd, u64 arg);

/* ---- inet_tcp.c, inet_tcp_xfer.c ------------------------------------------------------------- */

/* A connect that failed leaves FAILED until it has been reported by connect. */
enum tcp_sock_state { TCP_NEW, TCP_LISTENING, TCP_CONNECTING, TCP_CONNECTED, TCP_FAILED };

struct tcp_sock {
  struct inet_sock i;
  enum tcp_sock_state state;
  struct tcp_pcb *pcb; /* NULL: none yet, or gone for good if CONNECTED. A tcp_pcb_listen if
                          LISTENING */
  bool connect_reported;

  /* Received: a list by pbuf->next, whose tot_len means nothing. */
  struct pbuf *rx_head, *rx_tail;
  u32 rx_off;      /* consumed bytes of rx_head */
  u32 rx_bytes;    /* readable */
  u32 rx_withheld; /* of the window: not given back to the sender while SO_RCVBUF is small */
  bool rx_fin;     /* the peer has ended its stream */

  u32 tx_room;     /* bytes that send can take now */
  bool tx_blocked; /* somebody has seen too little room: wake when there is enough. Atomic */

  struct list accept_queue; /* LISTENING: accept_node of ready connections */
  struct list accept_node;
  unsigned n_accept, backlog;
};

static inline struct tcp_sock *tcp_of(struct sock *s) { return (struct tcp_sock *)s; }

int tcp_sock_create(int domain, int protocol, struct sock **out);
/* Options have changed: hands them to the pcb. Lock held. */
void tcp_apply_options(struct tcp_sock *t);
/* Brings tx_room up to date. Lock held. */
void tcp_update_room(struct tcp_sock *t);
u32 tcp_room_wanted(const struct tcp_sock *t); /* from here on the socket counts as writable */
bool tcp_is_gone(const struct tcp_sock *t);    /* was connected, and both directions are over */
i64 tcp_sock_send(struct sock *s, struct msg *m, bool nonblock);
i64 tcp_sock_recv(struct sock *s, struct msg *m, bool nonblock);
u32 tcp_sock_poll(struct sock *s, struct poller *p);
/* Drops what has been received. Lock held. */
void tcp_rx_drop(struct tcp_sock *t);

/* ---- inet_dgram.c ---------------------------------------------------------------------------- */

struct udp_pcb;
struct raw_pcb;

struct dgram_sock {
  struct inet_sock i;
  struct udp_pcb *udp; /* SOCK_DGRAM */
  struct raw_pcb *raw; /* SOCK_RAW */
  struct list packets; /* received */
  u32 queued;          /* their cost in bytes */
};

static inline struct dgram_sock *dgram_of(struct sock *s) { return (struct dgram_sock *)s; }

int dgram_sock_create(int domain, int type, int protocol, struct sock **out);
void dgram_apply_options(struct dgram_sock *d);
u32 dgram_readable(struct dgram_sock *d); /* bytes of the first packet. Lock held */
/* An ICMP message says that nobody listens at `to`, where a datagram from our `port` went. Lock
   held. */
void dgram_unreachable(u16 port, const struct endpoint *to);

#endif
