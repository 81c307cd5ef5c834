/* SPDX-License-Identifier: MIT */
/* Socket options and ioctls. What is not here is -ENOPROTOOPT: nothing is accepted and ignored but
   what plat/pc/net/README.md names as having no effect. */
#include "kernel/mm/usercopy.h"
#include "kernel/time/clock.h"
#include "lib/string.h"
#include "lwip/netif.h"
#include "lwip/priv/tcp_priv.h"
#include "lwip/tcp.h"
#include "plat/pc/net/inet.h"

enum { LEVEL_IP = 0, LEVEL_SOCKET = 1, LEVEL_TCP = 6, LEVEL_IPV6 = 41 };

enum {
  SO_REUSEADDR = 2,
  SO_TYPE = 3,
  SO_ERROR = 4,
  SO_BROADCAST = 6,
  SO_SNDBUF = 7,
  SO_RCVBUF = 8,
  SO_KEEPALIVE = 9,
  SO_LINGER = 13,
  SO_REUSEPORT = 15,
  SO_RCVLOWAT = 18,
  SO_SNDLOWAT = 19,
  SO_RCVTIMEO = 20,
  SO_SNDTIMEO = 21,
  SO_ACCEPTCONN = 30,
  SO_PROTOCOL = 38,
  SO_DOMAIN = 39,
  SO_RCVTIMEO_NEW = 66,
  SO_SNDTIMEO_NEW = 67,
};
enum { OPT_NODELAY = 1, OPT_MAXSEG, OPT_CORK, OPT_KEEPIDLE, OPT_KEEPINTVL, OPT_KEEPCNT };
enum { OPT_TOS = 1, OPT_TTL = 2 };
enum { OPT_UNICAST_HOPS = 16, OPT_V6ONLY = 26, OPT_TCLASS = 67 };

#define BUF_MIN 2048
#define MSS_UNCONNECTED 536
#define KEEP_MAX 32767
#define COUNT_MAX 127

struct linger {
  i32 on, seconds;
};

static bool is_tcp(const struct inet_sock *i) { return i->sock.type == SOCK_STREAM; }

static void apply(struct inet_sock *i) {
  if (is_tcp(i))
    tcp_apply_options(tcp_of(&i->sock));
  else
    dgram_apply_options(dgram_of(&i->sock));
}

/* ---- time-outs ------------------------------------------------------------------------------- */

static u64 *timeout_of(struct inet_sock *i, int level, int name) {
  if (level != LEVEL_SOCKET)
    return NULL;
  if (name == SO_RCVTIMEO || name == SO_RCVTIMEO_NEW)
    return &i->opt.recv_timeout;
  if (name == SO_SNDTIMEO || name == SO_SNDTIMEO_NEW)
    return &i->opt.send_timeout;
  return NULL;
}

/* ---- setting --------------------------------------------------------------------------------- */

static u32 clamp(i32 v, u32 lo, u32 hi) { return v < (i32)lo ? lo : (u32)v > hi ? hi : (u32)v; }

static int set_linger(struct inet_sock *i, const void *val, u32 len) {
  struct linger l;
  if (len < sizeof l)
    return -EINVAL;
  memcpy(&l, val, sizeof l);
  i->opt.linger_on = l.on != 0;
  i->opt.linger = (u32)max_u64(l.seconds < 0 ? KEEP_MAX : (u32)l.seconds, 0);
  return 0;
}

/* Linux doubles the sizes for its own overhead, and reports them doubled. */
static int set_socket(struct inet_sock *i, int name, i32 v) {
  switch (name) {
  case SO_REUSEADDR:
    i->opt.reuse = v != 0;
    return 0;
  case SO_BROADCAST:
    i->opt.broadcast = v != 0;
    return 0;
  case SO_SNDBUF:
    i->opt.sndbuf = clamp(v > INT32_MAX / 2 ? INT32_MAX : v * 2, 2 * BUF_MIN, TCP_SND_BUF);
    return 0;
  case SO_RCVBUF:
    i->opt.rcvbuf = clamp(v > INT32_MAX / 2 ? INT32_MAX : v * 2, BUF_MIN, TCP_WND);
    return 0;
  case SO_KEEPALIVE:
    i->opt.keepalive = v != 0;
    return 0;
  case SO_REUSEPORT: /* connections would go to one of the listeners only */
    return v ? -EINVAL : 0;
  }
  return -ENOPROTOOPT;
}

static int set_range(u32 *to, i32 v, i32 max) {
  if (v < 1 || v > max)
    return -EINVAL;
  *to = (u32)v;
  return 0;
}

static int set_tcp(struct tcp_sock *t, int name, i32 v) {
  struct inet_opts *o = &t->i.opt;
  switch (name) {
  case OPT_NODELAY:
    o->nodelay = v != 0;
    break;
  case OPT_CORK:
    o->cork = v != 0;
    break;
  case OPT_KEEPIDLE:
    return set_range(&o->keep_idle, v, KEEP_MAX);
  case OPT_KEEPINTVL:
    return set_range(&o->keep_interval, v, KEEP_MAX);
  case OPT_KEEPCNT:
    return set_range(&o->keep_count, v, COUNT_MAX);
  default:
    return -ENOPROTOOPT;
  }
  tcp_apply_options(t);
  if (t->pcb && t->state == TCP_CONNECTED && !o->cork)
    tcp_output(t->pcb); /* what the cork or Nagle has held back */
  return 0;
}

static int set_ttl(struct inet_sock *i, i32 v) {
  if (v != -1 && (v < 1 || v > 255))
    return -EINVAL;
  i->opt.ttl = v == -1 ? 0 : (u8)v;
  return 0;
}

static int set_v6only(struct inet_sock *i, i32 v) {
  if (i->bound || i->has_peer)
    return -EINVAL;
  i->opt.v6only = v != 0;
  return 0;
}

static int set_ip(struct inet_sock *i, int level, int name, i32 v) {
  if (level == LEVEL_IPV6 && i->sock.domain != AF_INET6)
    return -ENOPROTOOPT;
  if (level == LEVEL_IPV6 && name == OPT_V6ONLY)
    return set_v6only(i, v);
  if (name == (level == LEVEL_IP ? OPT_TTL : OPT_UNICAST_HOPS))
    return set_ttl(i, v);
  if (name == (level == LEVEL_IP ? OPT_TOS : OPT_TCLASS)) {
    i->opt.tos = v == -1 ? 0 : (u8)v;
    return 0;
  }
  return -ENOPROTOOPT;
}

static int set_locked(struct inet_sock *i, int level, int name, i32 v) {
  int err = -ENOPROTOOPT;
  if (level == LEVEL_SOCKET)
    err = set_socket(i, name, v);
  else if (level == LEVEL_TCP && is_tcp(i))
    err = set_tcp(tcp_of(&i->sock), name, v);
  else if (level == LEVEL_IP || level == LEVEL_IPV6)
    err = set_ip(i, level, name, v);
  if (!err)
    apply(i);
  return err;
}

int inet_setsockopt(struct sock *s, int level, int name, const void *val, u32 len) {
  struct inet_sock *i = inet_of(s);
  i32 v = 0;
  u64 *timeout = timeout_of(i, level, name);
  if (timeout)
    return sock_timeout(timeout, val, len);
  if (level == LEVEL_SOCKET && name == SO_LINGER)
    return set_linger(i, val, len);
  if (level == LEVEL_IP && len >= 1 && len < sizeof v)
    v = *(const u8 *)val; /* Linux takes a byte here */
  else if (len < sizeof v)
    return -EINVAL;
  else
    memcpy(&v, val, sizeof v);
  net_lock();
  int err = set_locked(i, level, name, v);
  net_unlock();
  return err;
}

/* ---- getting --------------------------------------------------------------------------------- */

static int put_value(void *val, u32 *len, const void *from, u32 size) {
  *len = (u32)min_u64(*len, size);
  memcpy(val, from, *len);
  return 0;
}

static int get_socket(struct inet_sock *i, int name) {
  switch (name) {
  case SO_REUSEADDR:
    return i->opt.reuse;
  case SO_TYPE:
    return i->sock.type;
  case SO_ERROR:
    return -inet_take_error(i);
  case SO_BROADCAST:
    return i->opt.broadcast;
  case SO_SNDBUF:
    return (int)i->opt.sndbuf;
  case SO_RCVBUF:
    return (int)i->opt.rcvbuf;
  case SO_KEEPALIVE:
    return i->opt.keepalive;
  case SO_REUSEPORT:
    return 0;
  case SO_RCVLOWAT:
  case SO_SNDLOWAT:
    return 1;
  case SO_ACCEPTCONN:
    return is_tcp(i) && tcp_of(&i->sock)->state == TCP_LISTENING;
  case SO_PROTOCOL:
    return i->sock.protocol;
  case SO_DOMAIN:
    return i->sock.domain;
  }
  return -ENOPROTOOPT;
}

static int get_tcp(struct tcp_sock *t, int name) {
  const struct inet_opts *o = &t->i.opt;
  switch (name) {
  case OPT_NODELAY:
    return o->nodelay;
  case OPT_MAXSEG:
    return t->pcb && t->state == TCP_CONNECTED ? tcp_mss(t->pcb) : MSS_UNCONNECTED;
  case OPT_CORK:
    return o->cork;
  case OPT_KEEPIDLE:
    return (int)o->keep_idle;
  case OPT_KEEPINTVL:
    return (int)o->keep_interval;
  case OPT_KEEPCNT:
    return (int)o->keep_count;
  }
  return -ENOPROTOOPT;
}

static int get_ip(struct inet_sock *i, int level, int name) {
  if (level == LEVEL_IPV6 && i->sock.domain != AF_INET6)
    return -ENOPROTOOPT;
  if (level == LEVEL_IPV6 && name == OPT_V6ONLY)
    return i->opt.v6only;
  if (name == (level == LEVEL_IP ? OPT_TTL : OPT_UNICAST_HOPS))
    return i->opt.ttl ? i->opt.ttl : IP_DEFAULT_TTL;
  if (name == (level == LEVEL_IP ? OPT_TOS : OPT_TCLASS))
    return i->opt.tos;
  return -ENOPROTOOPT;
}

static int get_locked(struct inet_sock *i, int level, int name) {
  if (level == LEVEL_SOCKET)
    return get_socket(i, name);
  if (level == LEVEL_TCP && is_tcp(i))
    return get_tcp(tcp_of(&i->sock), name);
  if (level == LEVEL_IP || level == LEVEL_IPV6)
    return get_ip(i, level, name);
  return -ENOPROTOOPT;
}

int inet_getsockopt(struct sock *s, int level, int name, void *val, u32 *len) {
  struct inet_sock *i = inet_of(s);
  u64 *timeout = timeout_of(i, level, name);
  if (timeout) {
    struct ktimeval tv = {(i64)(*timeout / NSEC_PER_SEC), (i64)(*timeout % NSEC_PER_SEC / 1000)};
    return put_value(val, len, &tv, sizeof tv);
  }
  if (level == LEVEL_SOCKET && name == SO_LINGER) {
    struct linger l = {i->opt.linger_on, (i32)i->opt.linger};
    return put_value(val, len, &l, sizeof l);
  }
  net_lock();
  i32 v = get_locked(i, level, name);
  net_unlock();
  return v < 0 ? v : put_value(val, len, &v, sizeof v);
}

/* ---- ioctls ---------------------------------------------------------------------------------- */

#define FIONREAD 0x541b
#define TIOCOUTQ 0x5411

static i64 readable(struct inet_sock *i) {
  struct tcp_sock *t = tcp_of(&i->sock);
  if (!is_tcp(i))
    return dgram_readable(dgram_of(&i->sock));
  return t->state == TCP_LISTENING ? -EINVAL : (i64)t->rx_bytes;
}

static i64 unsent(struct inet_sock *i) {
  struct tcp_sock *t = tcp_of(&i->sock);
  if (!is_tcp(i))
    return 0;
  if (t->state == TCP_LISTENING)
    return -EINVAL;
  return t->pcb ? TCP_SND_BUF - t->pcb->snd_buf : 0;
}

i64 inet_ioctl(struct sock *s, u32 cmd, u64 arg) {
  struct inet_sock *i = inet_of(s);
  if (cmd != FIONREAD && cmd != TIOCOUTQ)
    return -ENOTTY;
  net_lock();
  i64 v = cmd == FIONREAD ? readable(i) : unsent(i);
  net_unlock();
  return v < 0 ? v : user_store32(arg, (u32)v);
}
