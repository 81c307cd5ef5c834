/* SPDX-License-Identifier: MIT */
/* What all Internet sockets share. */
#include "kernel/proc/proc.h"
#include "lwip/err.h"
#include "plat/pc/net/config.h"
#include "plat/pc/net/inet.h"

#define NETWORK_PATIENCE 10000000000u /* ns */
#define LOOK_AGAIN 20000000u

void inet_init(struct inet_sock *i, const struct sock_ops *ops, int domain, int type,
               int protocol) {
  i->sock =
      (struct sock){.ops = ops, .domain = domain, .type = type, .protocol = protocol, .priv = i};
  waitq_init(&i->sock.wait);
  mutex_init(&i->recv_lock);
  i->opt.rcvbuf = TCP_WND;
  i->opt.sndbuf = TCP_SND_BUF;
  i->opt.keep_idle = 7200;
  i->opt.keep_interval = 75;
  i->opt.keep_count = 9;
  ip_addr_set_any(domain == AF_INET6, &i->local.ip);
  ip_addr_set_any(domain == AF_INET6, &i->peer.ip);
}

int inet_take_error(struct inet_sock *i) {
  return -__atomic_exchange_n(&i->error, 0, __ATOMIC_ACQ_REL);
}

int inet_errno(int err) {
  switch (err) {
  case ERR_OK:
    return 0;
  case ERR_MEM:
    return -ENOBUFS;
  case ERR_BUF:
    return -ENOBUFS;
  case ERR_TIMEOUT:
    return -ETIMEDOUT;
  case ERR_RTE:
    return -ENETUNREACH;
  case ERR_USE:
    return -EADDRINUSE;
  case ERR_ISCONN:
    return -EISCONN;
  case ERR_CONN:
    return -EPIPE;
  case ERR_RST:
    return -ECONNRESET;
  case ERR_ABRT:
    return -ECONNABORTED;
  case ERR_VAL:
  case ERR_ARG:
    return -EINVAL;
  }
  return -EIO;
}

u64 inet_deadline(u64 timeout) { return timeout ? plat_now() + timeout : UINT64_MAX; }

static bool is_loopback(const ip_addr_t *a) {
  return IP_IS_V6(a) ? ip6_addr_isloopback(ip_2_ip6(a)) : ip4_addr_isloopback(ip_2_ip4(a));
}

void inet_await_network(const ip_addr_t *to) {
  struct waitq q;
  if (is_loopback(to) || !net_is_configuring())
    return;
  waitq_init(&q);
  u64 deadline = plat_now() + NETWORK_PATIENCE;
  while (net_is_configuring() && plat_now() < deadline)
    if (waitq_wait_until(&q, !net_is_configuring(), plat_now() + LOOK_AGAIN) == -ERESTARTSYS)
      return;
}

int plat_sock_create(int domain, int type, int protocol, struct sock **out) {
  if (domain != AF_INET && domain != AF_INET6)
    return -EAFNOSUPPORT;
  int icmp = domain == AF_INET ? IPPROTO_ICMP : IPPROTO_ICMPV6;
  switch (type) {
  case SOCK_STREAM:
    if (protocol != 0 && protocol != IPPROTO_TCP)
      return -EPROTONOSUPPORT;
    return tcp_sock_create(domain, IPPROTO_TCP, out);
  case SOCK_DGRAM:
    if (protocol != 0 && protocol != IPPROTO_UDP)
      return -EPROTONOSUPPORT;
    return dgram_sock_create(domain, type, IPPROTO_UDP, out);
  case SOCK_RAW:
    if (!cred_is_root())
      return -EPERM;
    if (protocol != icmp)
      return -EPROTONOSUPPORT;
    return dgram_sock_create(domain, type, protocol, out);
  }
  return -ESOCKTNOSUPPORT;
}
