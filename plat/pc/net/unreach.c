/* SPDX-License-Identifier: MIT */
/*
 * Reports that a UDP port is unreachable, for connected sockets. lwIP ignores them; its input hooks
 * show us every packet first. Nothing is trusted but lengths we have checked, and the checksum only
 * on the way through lwIP: a forged report can do no more than a forged one with a right checksum.
 */
#include "lib/string.h"
#include "lwip/icmp.h"
#include "lwip/netif.h"
#include "lwip/pbuf.h"
#include "lwip/prot/icmp6.h"
#include "lwip/prot/ip4.h"
#include "lwip/prot/ip6.h"
#include "lwip/prot/udp.h"
#include "plat/pc/net/hooks.h"
#include "plat/pc/net/inet.h"

#define ICMP_HEADER 8

/* The UDP header at `off` is of a packet that we sent to `to`. */
static void report(struct pbuf *p, u16 off, struct endpoint *to) {
  struct udp_hdr u;
  if (pbuf_copy_partial(p, &u, sizeof u, off) != sizeof u)
    return;
  to->port = lwip_ntohs(u.dest);
  dgram_unreachable(lwip_ntohs(u.src), to);
}

int net_ip4_input(struct pbuf *p, struct netif *in) {
  struct ip_hdr ip;
  struct icmp_echo_hdr icmp;
  struct endpoint to;
  (void)in;
  if (pbuf_copy_partial(p, &ip, sizeof ip, 0) != sizeof ip || IPH_PROTO(&ip) != IP_PROTO_ICMP)
    return 0;
  u16 off = IPH_HL_BYTES(&ip);
  if (pbuf_copy_partial(p, &icmp, ICMP_HEADER, off) != ICMP_HEADER || icmp.type != ICMP_DUR ||
      icmp.code != ICMP_DUR_PORT)
    return 0;
  off = (u16)(off + ICMP_HEADER);
  if (pbuf_copy_partial(p, &ip, sizeof ip, off) != sizeof ip || IPH_PROTO(&ip) != IP_PROTO_UDP)
    return 0;
  ip_addr_copy_from_ip4(to.ip, ip.dest);
  report(p, (u16)(off + IPH_HL_BYTES(&ip)), &to);
  return 0;
}

int net_ip6_input(struct pbuf *p, struct netif *in) {
  struct ip6_hdr ip;
  struct icmp6_hdr icmp;
  struct endpoint to;
  u16 off = IP6_HLEN;
  if (pbuf_copy_partial(p, &ip, sizeof ip, 0) != sizeof ip || IP6H_NEXTH(&ip) != IP6_NEXTH_ICMP6)
    return 0;
  if (pbuf_copy_partial(p, &icmp, sizeof icmp, off) != sizeof icmp || icmp.type != ICMP6_TYPE_DUR ||
      icmp.code != ICMP6_DUR_PORT)
    return 0;
  off = (u16)(off + sizeof icmp);
  if (pbuf_copy_partial(p, &ip, sizeof ip, off) != sizeof ip || IP6H_NEXTH(&ip) != IP6_NEXTH_UDP)
    return 0;
  ip_addr_copy_from_ip6_packed(to.ip, ip.dest);
  ip6_addr_assign_zone(ip_2_ip6(&to.ip), IP6_UNICAST, in);
  report(p, (u16)(off + IP6_HLEN), &to);
  return 0;
}
