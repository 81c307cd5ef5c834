/* SPDX-License-Identifier: MIT */
/* Addresses: Linux's sockaddr on one side, lwIP's on the other. */
#include "lib/string.h"
#include "lwip/netif.h"
#include "plat/pc/net/inet.h"

#define SIN_LEN 16
#define SIN6_LEN 28
#define SIN6_LEN_MIN 24 /* without the scope, as in RFC 2133 */

struct sin {
  u16 family, port;
  u8 addr[4];
};

struct sin6 {
  u16 family, port;
  u32 flow;
  u8 addr[16];
  u32 scope;
};

static u16 family_of(const u8 *addr) {
  u16 f;
  memcpy(&f, addr, sizeof f);
  return f;
}

bool inet_addr_is_unspec(const u8 *addr, u32 len) { return len >= 2 && family_of(addr) == 0; }

static int get4(const u8 *addr, u32 len, struct endpoint *out) {
  struct sin a;
  if (len < SIN_LEN)
    return -EINVAL;
  memcpy(&a, addr, sizeof a);
  out->port = __builtin_bswap16(a.port);
  ip_addr_set_any(false, &out->ip);
  memcpy(&ip_2_ip4(&out->ip)->addr, a.addr, 4);
  return 0;
}

static int get6(const u8 *addr, u32 len, struct endpoint *out) {
  struct sin6 a = {0};
  if (len < SIN6_LEN_MIN)
    return -EINVAL;
  memcpy(&a, addr, min_u64(len, sizeof a));
  out->port = __builtin_bswap16(a.port);
  ip_addr_set_any(true, &out->ip);
  memcpy(ip_2_ip6(&out->ip)->addr, a.addr, 16);
  if (ip6_addr_isipv4mappedipv6(ip_2_ip6(&out->ip))) {
    ip_addr_set_any(false, &out->ip);
    memcpy(&ip_2_ip4(&out->ip)->addr, a.addr + 12, 4);
  } else if (ip6_addr_has_scope(ip_2_ip6(&out->ip), IP6_UNICAST)) {
    ip6_addr_set_zone(ip_2_ip6(&out->ip), (u8)a.scope);
  }
  return 0;
}

int inet_addr_get(const struct inet_sock *i, const u8 *addr, u32 len, struct endpoint *out) {
  if (len < 2)
    return -EINVAL;
  int want = i->sock.domain, is = family_of(addr);
  if (want == AF_INET6 && is == AF_INET && i->sock.type != SOCK_DGRAM)
    return len < SIN6_LEN_MIN ? -EINVAL : -EAFNOSUPPORT;
  if (want == AF_INET6 && is != AF_INET6 && is != AF_INET)
    return -EAFNOSUPPORT;
  if (want == AF_INET && is != AF_INET)
    return len < SIN_LEN ? -EINVAL : -EAFNOSUPPORT;
  int err = is == AF_INET ? get4(addr, len, out) : get6(addr, len, out);
  if (!err && want == AF_INET6 && i->opt.v6only && IP_IS_V4(&out->ip))
    err = -ENETUNREACH;
  return err;
}

int inet_dest_get(const struct inet_sock *i, const u8 *addr, u32 len, struct endpoint *out) {
  int err = inet_addr_get(i, addr, len, out);
  if (err || !ip_addr_isany(&out->ip))
    return err;
  if (IP_IS_V6(&out->ip))
    ip_addr_set_loopback(true, &out->ip);
  else
    ip_addr_set_loopback(false, &out->ip);
  return 0;
}

static void put4(const struct endpoint *e, u8 *addr, u32 *len) {
  struct sin a = {AF_INET, __builtin_bswap16(e->port), {0}};
  memcpy(a.addr, &ip_2_ip4(&e->ip)->addr, 4);
  memset(addr, 0, SIN_LEN);
  memcpy(addr, &a, sizeof a);
  *len = SIN_LEN;
}

void inet_addr_put(const struct inet_sock *i, const struct endpoint *e, u8 *addr, u32 *len) {
  if (i->sock.domain == AF_INET) {
    put4(e, addr, len);
    return;
  }
  struct sin6 a = {.family = AF_INET6, .port = __builtin_bswap16(e->port)};
  if (IP_IS_V6(&e->ip)) {
    memcpy(a.addr, ip_2_ip6(&e->ip)->addr, 16);
    a.scope = ip6_addr_zone(ip_2_ip6(&e->ip));
  } else if (!ip_addr_isany(&e->ip)) {
    a.addr[10] = a.addr[11] = 0xff;
    memcpy(a.addr + 12, &ip_2_ip4(&e->ip)->addr, 4);
  }
  memcpy(addr, &a, sizeof a);
  *len = sizeof a;
}

bool inet_addr_is_local(const ip_addr_t *ip) {
  struct netif *n;
  if (ip_addr_isany(ip))
    return true;
  if (IP_IS_V4(ip) && ip4_addr_isloopback(ip_2_ip4(ip)))
    return ip4_addr_cmp(ip_2_ip4(ip), netif_ip4_addr(net_loop()));
  NETIF_FOREACH(n) {
    if (IP_IS_V6(ip) ? netif_get_ip6_addr_match(n, ip_2_ip6(ip)) >= 0
                     : ip4_addr_cmp(ip_2_ip4(ip), netif_ip4_addr(n)))
      return true;
  }
  return false;
}

u8 inet_pcb_type(const struct inet_sock *i) {
  if (i->sock.domain == AF_INET)
    return IPADDR_TYPE_V4;
  return i->opt.v6only ? IPADDR_TYPE_V6 : IPADDR_TYPE_ANY;
}

/* The unspecified IPv6 address of a dual-stack socket takes both. */
const ip_addr_t *inet_bind_addr(const struct inet_sock *i, const ip_addr_t *ip) {
  bool both = i->sock.domain == AF_INET6 && !i->opt.v6only;
  return both && IP_IS_V6(ip) && ip_addr_isany(ip) ? IP_ANY_TYPE : ip;
}

const ip_addr_t *inet_source_for(const ip_addr_t *from, const ip_addr_t *to) {
  ip_addr_t src;
  if (IP_IS_V6(to) != IP_IS_V6(from) || ip_addr_isany(from))
    ip_addr_set_any(IP_IS_V6(to), &src);
  else
    ip_addr_copy(src, *from);
  struct netif *n = ip_route(&src, to);
  return n ? ip_netif_get_local_ip(n, to) : NULL;
}

int inet_getname(struct sock *s, bool peer, u8 *addr, u32 *len) {
  struct inet_sock *i = inet_of(s);
  net_lock();
  int err = peer && !i->has_peer ? -ENOTCONN : 0;
  if (!err)
    inet_addr_put(i, peer ? &i->peer : &i->local, addr, len);
  net_unlock();
  return err;
}
