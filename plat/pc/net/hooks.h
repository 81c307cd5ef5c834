/* SPDX-License-Identifier: MIT */
/* Where lwIP asks us. All are called with the stack locked. */
#ifndef UFORK_PC_NET_HOOKS_H
#define UFORK_PC_NET_HOOKS_H

#include "lwip/ip_addr.h"

struct pbuf;
struct netif;

/* Initial sequence number of a connection, as RFC 6528 wants it. random.c */
u32_t net_tcp_isn(const ip_addr_t *local_ip, u16_t local_port, const ip_addr_t *remote_ip,
                  u16_t remote_port);
#define LWIP_HOOK_TCP_ISN net_tcp_isn

/* Look for reports that a port is unreachable; never take the packet (0). unreach.c */
int net_ip4_input(struct pbuf *p, struct netif *in);
int net_ip6_input(struct pbuf *p, struct netif *in);
#define LWIP_HOOK_IP4_INPUT net_ip4_input
#define LWIP_HOOK_IP6_INPUT net_ip6_input

/* The router that the configuration names for packets that leave the link, or NULL. config.c */
const ip6_addr_t *net_ip6_gateway(struct netif *netif, const ip6_addr_t *to);
#define LWIP_HOOK_ND6_GET_GW net_ip6_gateway

struct tcp_pcb;
struct tcp_hdr;

/* Each segment for a pcb, with header fields in host order: not ERR_OK drops it. zero_window.c */
int net_tcp_segment(struct tcp_pcb *pcb, const struct tcp_hdr *h, const struct pbuf *p);
#define LWIP_HOOK_TCP_INPACKET_PCB(pcb, hdr, optlen, opt1len, opt2, p) net_tcp_segment(pcb, hdr, p)

#endif
