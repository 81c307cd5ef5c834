/* SPDX-License-Identifier: MIT */
/*
 * Unix sockets, inside the kernel. For the files unix*.c only.
 *
 * Every socket has a queue of packets that it receives; a stream is a queue whose packets' borders
 * do not matter. A connected socket holds a reference to its peer and is linked in the peer's
 * list of senders, which are woken when the peer has room again.
 *
 * Lock: unix_sock->lock (spin) protects all its fields below; two sockets are never locked at once,
 * except by unix_pair (both new) and unix_gc.c (a listener, then what waits to be accepted).
 * unix_names_lock -> unix_sock->lock. Wait queues are woken with the lock held. References:
 * unix_get/put: the open file (or the accept queue), each peer, each binding in the name table,
 * each sleeper on it.
 */
#ifndef UFORK_KERNEL_UNIX_H
#define UFORK_KERNEL_UNIX_H

#include "kernel/net/sock.h"
#include "lib/list.h"

#define UNIX_PATH_MAX 108
#define UNIX_QUEUE_MAX                                                                             \
  212992 /* bytes queued at a receiver before senders wait; Linux's default                        \
          */
#define UNIX_BACKLOG_MAX 4096
#define UNIX_RIGHTS_MAX 253
#define UNIX_INFLIGHT_MAX 65536u /* files under way in the instance */
#define UNIX_CHUNK_MAX 32768     /* largest packet of a stream */

struct inode;

struct unix_cred {
  i32 pid;
  u32 uid, gid;
};

/* Files under way: references held. */
struct unix_rights {
  struct list node; /* while it is freed */
  u32 uid;          /* whose files under way they count as */
  unsigned n;       /* also in unix_inflight's count */
  struct file *files[];
};

struct unix_packet {
  struct list node;
  u32 size, off;              /* bytes of data, consumed ones */
  u32 addr_len;               /* sender's address */
  u8 *addr;                   /* in the same allocation; NULL: unnamed */
  struct unix_rights *rights; /* or NULL */
  struct unix_cred cred;      /* of the sender */
  bool cred_explicit;
  u8 data[];
};

enum unix_state { UNIX_NEW, UNIX_LISTENING, UNIX_CONNECTED, UNIX_CLOSED };

/* Some fields are looked at without the lock as well, where an earlier or later moment would do. */
#define UNIX_LOOK(field) __atomic_load_n(&(field), __ATOMIC_RELAXED)
#define UNIX_STORE(field, value) __atomic_store_n(&(field), value, __ATOMIC_RELAXED)

struct unix_sock {
  struct sock sock; /* first: of(s) is a cast */
  u32 refs;
  struct spin lock;
  enum unix_state state;
  bool shut_read, shut_write; /* our own ends */
  bool peer_gone;             /* connected once, and the other end is closed */
  bool passcred;
  bool has_cred; /* peer_cred is known */
  struct unix_cred peer_cred;
  i32 error; /* SO_ERROR: ECONNRESET after the peer dropped our data */

  struct unix_sock *peer; /* reference; stream: the other end, dgram: where send goes */
  struct list senders;    /* peer_node of those connected to us */
  struct list peer_node;

  struct mutex recv_lock; /* one receiver at a time, so that the first packet stays while it is
                             copied; outside of lock */
  struct list packets;    /* received */
  u64 queued;             /* bytes, packet headers included */
  struct waitq room;      /* senders of datagrams that are not connected sleep here */

  struct list accept_queue; /* listening: accept_node of ready connections, references held */
  struct list accept_node;
  unsigned n_accept, backlog;

  u8 addr[SOCKADDR_MAX]; /* bound: family and name */
  u32 addr_len;          /* 0: unbound */
  struct inode *inode;   /* bound to a path: reference */
  struct list name_node; /* bound to an abstract name: in the name table */

  u64 recv_timeout, send_timeout; /* ns, 0: none */

  /* unix_gc.c, under unix_gc_lock; while file->in_flight is not 0 */
  struct file *file; /* of this socket */
  struct list flight_node;
  u32 gc_refs; /* a candidate's references that are not accounted for */
  bool gc_candidate;
  struct list gc_node;
};

static inline struct unix_sock *unix_of(struct sock *s) { return (struct unix_sock *)s; }

void unix_get(struct unix_sock *u);
void unix_put(struct unix_sock *u);
struct unix_cred unix_cred_now(void);

/* A new socket of the type with one reference; NULL: no memory. */
struct unix_sock *unix_alloc(int type);

/* The socket bound to an address, with a reference. -ECONNREFUSED, -ENOENT, -EACCES, -EPROTOTYPE.
 * unix_name.c */
int unix_lookup(const u8 *addr, u32 len, int type, struct unix_sock **out);
int unix_bind(struct sock *s, const u8 *addr, u32 len);
void unix_unbind(struct unix_sock *u);

/* Peer with a reference, or NULL. */
struct unix_sock *unix_peer_get(struct unix_sock *u);
/* Makes `to` the peer of u (reference taken); the old one is dropped. */
void unix_set_peer(struct unix_sock *u, struct unix_sock *to);

/* unix_xfer.c */
i64 unix_send(struct sock *s, struct msg *m, bool nonblock);
i64 unix_recv(struct sock *s, struct msg *m, bool nonblock);
u32 unix_poll(struct sock *s, struct poller *p);
void unix_packet_free(struct unix_packet *p);
/* Bytes that FIONREAD reports. */
u32 unix_readable(struct unix_sock *u);

/* unix_control.c: ancillary data. */
struct unix_control {
  struct unix_rights *rights;
  struct unix_cred cred;
  bool cred_explicit;
};
/* Reads the kernel copy of a control buffer; takes references to the files. -EINVAL, -EBADF,
 * -EPERM. */
int unix_control_parse(const u8 *buf, u32 len, struct unix_control *c);
/* Stores what p carries (and consumes its rights unless `peek`) as control messages; sets
 * MSG_CTRUNC. */
void unix_control_emit(struct msg *m, struct unix_packet *p, bool want_cred, bool cloexec,
                       bool peek);
void unix_rights_free(struct unix_rights *r); /* NULL is fine */

/* unix_gc.c. The lock is outside of unix_sock->lock. */
extern struct mutex unix_gc_lock;
/* A file begins, ends to be in flight; the lock is held. */
void unix_gc_enter(struct file *f);
void unix_gc_leave(struct file *f);
/* Closes what is in flight and can never arrive. No locks held. */
void unix_gc(void);

/* unix_option.c */
int unix_setsockopt(struct sock *s, int level, int name, const void *val, u32 len);
int unix_getsockopt(struct sock *s, int level, int name, void *val, u32 *len);
i64 unix_ioctl(struct sock *s, u32 cmd, u64 arg);

#endif
