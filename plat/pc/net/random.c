/* SPDX-License-Identifier: MIT */
/* Numbers that strangers must not guess: ports, identifiers, initial sequence numbers. */
#include "kernel/plat.h"
#include "plat/pc/net/hooks.h"
#include "plat/pc/net/stack.h"

u32 net_random(void) {
  u32 v;
  plat_random(&v, sizeof v);
  return v;
}

static u64 key[2];

void net_random_boot(void) { plat_random(key, sizeof key); }

static u64 rotl(u64 v, int n) { return v << n | v >> (64 - n); }

static void round_(u64 v[4]) {
  v[0] += v[1], v[2] += v[3];
  v[1] = rotl(v[1], 13) ^ v[0], v[3] = rotl(v[3], 16) ^ v[2];
  v[0] = rotl(v[0], 32);
  v[2] += v[1], v[0] += v[3];
  v[1] = rotl(v[1], 17) ^ v[2], v[3] = rotl(v[3], 21) ^ v[0];
  v[2] = rotl(v[2], 32);
}

/* SipHash-2-4 (Aumasson, Bernstein 2012) of n words. */
static u64 siphash(const u64 *m, unsigned n) {
  u64 v[4] = {key[0] ^ 0x736f6d6570736575, key[1] ^ 0x646f72616e646f6d, key[0] ^ 0x6c7967656e657261,
              key[1] ^ 0x7465646279746573};
  for (unsigned i = 0; i <= n; i++) {
    u64 word = i < n ? m[i] : (u64)n * 8 << 56;
    v[3] ^= word;
    round_(v), round_(v);
    v[0] ^= word;
  }
  v[2] ^= 0xff;
  round_(v), round_(v), round_(v), round_(v);
  return v[0] ^ v[1] ^ v[2] ^ v[3];
}

static void put_ip(u64 m[2], const ip_addr_t *ip) {
  const u32 *w = IP_IS_V6(ip) ? ip_2_ip6(ip)->addr : &ip_2_ip4(ip)->addr;
  m[0] = IP_IS_V6(ip) ? w[0] | (u64)w[1] << 32 : w[0];
  m[1] = IP_IS_V6(ip) ? w[2] | (u64)w[3] << 32 : 0;
}

/* A secret start for each pair of ends, and a clock of 4 microseconds so that a new connection's
   numbers lie beyond those of an earlier one. */
u32_t net_tcp_isn(const ip_addr_t *local_ip, u16_t local_port, const ip_addr_t *remote_ip,
                  u16_t remote_port) {
  u64 m[5];
  put_ip(m, local_ip);
  put_ip(m + 2, remote_ip);
  m[4] = (u64)local_port << 16 | remote_port;
  return (u32)siphash(m, 5) + (u32)(plat_now() / 4096);
}
