/* SPDX-License-Identifier: MIT */
/* Options and ioctls of Unix sockets. */
#include "kernel/errno.h"
#include "kernel/ipc/unix.h"
#include "kernel/mm/usercopy.h"
#include "kernel/time/clock.h"
#include "lib/string.h"

enum {
  SO_REUSEADDR = 2,
  SO_TYPE = 3,
  SO_ERROR = 4,
  SO_SNDBUF = 7,
  SO_RCVBUF = 8,
  SO_KEEPALIVE = 9,
  SO_PASSCRED = 16,
  SO_PEERCRED = 17,
  SO_RCVTIMEO = 20,
  SO_SNDTIMEO = 21,
  SO_ACCEPTCONN = 30,
  SO_PROTOCOL = 38,
  SO_DOMAIN = 39,
};
#define FIONREAD 0x541b

int unix_setsockopt(struct sock *s, int level, int name, const void *val, u32 len) {
  struct unix_sock *u = unix_of(s);
  i32 v;
  if (level != SOL_SOCKET)
    return -EOPNOTSUPP;
  if (name == SO_RCVTIMEO)
    return sock_timeout(&u->recv_timeout, val, len);
  if (name == SO_SNDTIMEO)
    return sock_timeout(&u->send_timeout, val, len);
  if (len < sizeof v)
    return -EINVAL;
  memcpy(&v, val, sizeof v);
  switch (name) {
  case SO_PASSCRED:
    UNIX_STORE(u->passcred, v != 0);
    return 0;
  case SO_REUSEADDR: /* have no meaning for Unix sockets, on Linux either */
  case SO_KEEPALIVE:
  case SO_SNDBUF: /* a hint; the queue has a fixed limit, which getsockopt tells */
  case SO_RCVBUF:
    return 0;
  }
  return -ENOPROTOOPT;
}

static int put_value(void *val, u32 *len, const void *from, u32 size) {
  if (*len > size)
    *len = size;
  memcpy(val, from, *len);
  return 0;
}

static int put_int(void *val, u32 *len, i32 v) { return put_value(val, len, &v, sizeof v); }

static int put_timeout(void *val, u32 *len, u64 ns) {
  struct ktimeval tv = {(i64)(ns / NSEC_PER_SEC), (i64)(ns % NSEC_PER_SEC / 1000)};
  return put_value(val, len, &tv, sizeof tv);
}

int unix_getsockopt(struct sock *s, int level, int name, void *val, u32 *len) {
  struct unix_sock *u = unix_of(s);
  static const struct unix_cred nobody = {0, 0xffffffff, 0xffffffff};
  if (level != SOL_SOCKET)
    return -EOPNOTSUPP;
  switch (name) {
  case SO_TYPE:
    return put_int(val, len, s->type);
  case SO_DOMAIN:
    return put_int(val, len, AF_UNIX);
  case SO_PROTOCOL:
    return put_int(val, len, 0);
  case SO_ERROR:
    return put_int(val, len, __atomic_exchange_n(&u->error, 0, __ATOMIC_ACQ_REL));
  case SO_ACCEPTCONN:
    return put_int(val, len, UNIX_LOOK(u->state) == UNIX_LISTENING);
  case SO_PASSCRED:
    return put_int(val, len, UNIX_LOOK(u->passcred));
  case SO_REUSEADDR:
  case SO_KEEPALIVE:
    return put_int(val, len, 0);
  case SO_SNDBUF:
  case SO_RCVBUF:
    return put_int(val, len, UNIX_QUEUE_MAX);
  case SO_PEERCRED:
    return put_value(val, len, u->has_cred ? &u->peer_cred : &nobody, sizeof nobody);
  case SO_RCVTIMEO:
    return put_timeout(val, len, u->recv_timeout);
  case SO_SNDTIMEO:
    return put_timeout(val, len, u->send_timeout);
  }
  return -ENOPROTOOPT;
}

i64 unix_ioctl(struct sock *s, u32 cmd, u64 arg) {
  if (cmd == FIONREAD)
    return user_store32(arg, unix_readable(unix_of(s)));
  return -ENOTTY;
}
