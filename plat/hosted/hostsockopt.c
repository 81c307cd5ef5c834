/* SPDX-License-Identifier: MIT */
/*
 * Options that reach the host are listed: some others carry addresses, which the host would take
 * for its own.
 */
#include "plat/hosted/hostsockopt.h"
#include "kernel/errno.h"
#include "kernel/mm/usercopy.h"
#include "lib/string.h"
#include "plat/hosted/together.h"

enum {
  LEVEL_SOCKET = 1,
  LEVEL_IP = 0,
  LEVEL_TCP = HOST_IPPROTO_TCP,
  LEVEL_UDP = 17,
  LEVEL_IPV6 = 41
};
enum { RCVTIMEO = 20, SNDTIMEO = 21, RCVTIMEO_NEW = 66, SNDTIMEO_NEW = 67 };

struct option_range {
  u8 level, first, last;
};

/* Names are Linux's numbers; all take plain values. */
static const struct option_range allowed[] = {
    {LEVEL_SOCKET, 1, 13},  /* DEBUG REUSEADDR TYPE ERROR DONTROUTE BROADCAST SNDBUF RCVBUF
                               KEEPALIVE OOBINLINE NO_CHECK PRIORITY LINGER */
    {LEVEL_SOCKET, 15, 15}, /* REUSEPORT */
    {LEVEL_SOCKET, 18, 19}, /* RCVLOWAT SNDLOWAT */
    {LEVEL_SOCKET, 29, 30}, /* TIMESTAMP ACCEPTCONN */
    {LEVEL_SOCKET, 38, 39}, /* PROTOCOL DOMAIN */
    {LEVEL_SOCKET, 46, 47}, /* BUSY_POLL MAX_PACING_RATE */
    {LEVEL_SOCKET, 49, 49}, /* INCOMING_CPU */
    {LEVEL_IP, 1, 3},       /* TOS TTL HDRINCL */
    {LEVEL_IP, 6, 15},  /* RECVOPTS ... PKTINFO MTU_DISCOVER RECVERR RECVTTL RECVTOS MTU FREEBIND */
    {LEVEL_IP, 24, 24}, /* BIND_ADDRESS_NO_PORT */
    {LEVEL_IP, 32, 36}, /* multicast: IF TTL LOOP ADD DROP */
    {LEVEL_TCP, 1, 13}, /* NODELAY MAXSEG CORK KEEP* SYNCNT LINGER2 DEFER_ACCEPT WINDOW_CLAMP
                           INFO QUICKACK CONGESTION */
    {LEVEL_TCP, 18, 18},  /* USER_TIMEOUT */
    {LEVEL_TCP, 23, 25},  /* FASTOPEN TIMESTAMP NOTSENT_LOWAT */
    {LEVEL_TCP, 30, 30},  /* FASTOPEN_CONNECT */
    {LEVEL_UDP, 1, 1},    /* CORK */
    {LEVEL_IPV6, 16, 26}, /* UNICAST_HOPS MULTICAST_* ... MTU_DISCOVER MTU RECVERR V6ONLY */
    {LEVEL_IPV6, 49, 52}, /* RECVPKTINFO PKTINFO RECVHOPLIMIT HOPLIMIT */
    {LEVEL_IPV6, 66, 67}, /* RECVTCLASS TCLASS */
};

static bool is_allowed(int level, int name) {
  for (unsigned i = 0; i < ARRAY_LEN(allowed); i++)
    if (allowed[i].level == level && name >= allowed[i].first && name <= allowed[i].last)
      return true;
  return false;
}

/* The host's socket never blocks, so its timeouts are kept here. */
static u64 *timeout_of(struct host_sock *h, int level, int name) {
  if (level != LEVEL_SOCKET)
    return NULL;
  if (name == RCVTIMEO || name == RCVTIMEO_NEW)
    return &h->recv_timeout;
  if (name == SNDTIMEO || name == SNDTIMEO_NEW)
    return &h->send_timeout;
  return NULL;
}

int host_setsockopt(struct sock *s, int level, int name, const void *val, u32 len) {
  struct host_sock *h = container_of(s, struct host_sock, sock);
  u64 *timeout = timeout_of(h, level, name);
  if (timeout) {
    i64 tv[2];
    if (len < sizeof(tv))
      return -EINVAL;
    memcpy(tv, val, sizeof(tv));
    if (tv[1] < 0 || tv[1] >= 1000000)
      return -EDOM;
    *timeout = tv[0] < 0 ? 1 : (u64)tv[0] * 1000000000u + (u64)tv[1] * 1000u;
    return 0;
  }
  if (!is_allowed(level, name))
    return -ENOPROTOOPT;
  together_end();
  if (level == LEVEL_TCP && name == HOST_TCP_CORK)
    return together_cork(h, val, len);
  together_push(h);
  return (int)lx5(setsockopt, h->io.fd, level, name, val, len);
}

int host_getsockopt(struct sock *s, int level, int name, void *val, u32 *len) {
  struct host_sock *h = container_of(s, struct host_sock, sock);
  u64 *timeout = timeout_of(h, level, name);
  if (timeout) {
    i64 tv[2] = {(i64)(*timeout / 1000000000u), (i64)(*timeout % 1000000000u / 1000u)};
    *len = (u32)min_u64(*len, sizeof(tv));
    memcpy(val, tv, *len);
    return 0;
  }
  if (!is_allowed(level, name))
    return -ENOPROTOOPT;
  together_end();
  together_push(h);
  return (int)lx5(getsockopt, h->io.fd, level, name, val, len);
}

enum {
  CMD_FIONREAD = 0x541b,
  CMD_OUTQ = 0x5411,
  CMD_ATMARK = 0x8905,
  CMD_GIFNAME = 0x8910,
  CMD_GIFFLAGS = 0x8913,
  CMD_GIFADDR = 0x8915,
  CMD_GIFBRDADDR = 0x8919,
  CMD_GIFNETMASK = 0x891b,
  CMD_GIFMTU = 0x8921,
  CMD_GIFHWADDR = 0x8927,
  CMD_GIFINDEX = 0x8933
};

/* Size of the argument, which holds no addresses; 0: not supported. */
static u32 ioctl_size(u32 cmd) {
  switch (cmd) {
  case CMD_FIONREAD:
  case CMD_OUTQ:
  case CMD_ATMARK:
    return 4;
  case CMD_GIFNAME:
  case CMD_GIFFLAGS:
  case CMD_GIFADDR:
  case CMD_GIFBRDADDR:
  case CMD_GIFNETMASK:
  case CMD_GIFMTU:
  case CMD_GIFHWADDR:
  case CMD_GIFINDEX:
    return 40;
  default:
    return 0;
  }
}

i64 host_sock_ioctl(struct sock *s, u32 cmd, u64 arg) {
  struct host_sock *h = container_of(s, struct host_sock, sock);
  _Alignas(8) u8 buf[40];
  u32 size = ioctl_size(cmd);
  if (size == 0)
    return -ENOTTY;
  if (copy_from_user(buf, arg, size))
    return -EFAULT;
  together_end();
  together_push_all(); /* of what is there to be read */
  i64 ret = lx3(ioctl, h->io.fd, cmd, buf);
  if (ret < 0)
    return ret;
  return copy_to_user(arg, buf, size) ? -EFAULT : ret;
}
