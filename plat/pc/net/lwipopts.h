/* SPDX-License-Identifier: MIT */
/*
 * How lwIP is built for the kernel. Its code runs under one lock (stack.h), so it needs none of its
 * own; all of its memory comes from the kernel's heap within a budget (memory.c), and whatever it
 * cannot get becomes an error of the call or a lost frame.
 */
#ifndef UFORK_PC_LWIPOPTS_H
#define UFORK_PC_LWIPOPTS_H

/* ---- shape --------------------------------------------------------------------------------- */

#define NO_SYS 1
#define SYS_LIGHTWEIGHT_PROT 0
#define LWIP_NETCONN 0
#define LWIP_SOCKET 0
#define LWIP_TIMERS_CUSTOM 1 /* timers.c: a timer of lwIP's own would need memory to be armed */
#define LWIP_STATS 0
#define LWIP_RAW 1
#define LWIP_HOOK_FILENAME "plat/pc/net/hooks.h"

/* ---- memory -------------------------------------------------------------------------------- */

#define MEM_LIBC_MALLOC 1
#define mem_clib_malloc net_mem_alloc
#define mem_clib_calloc net_mem_calloc
#define mem_clib_free net_mem_free
#define MEMP_MEM_MALLOC 1
#define MEM_ALIGNMENT 8
#define MEM_SIZE (16 * 1024 * 1024) /* only makes mem_size_t wide */
#define PBUF_POOL_FREE_OOSEQ 0      /* no pool to run dry */
#define PBUF_POOL_BUFSIZE 1600
#define LWIP_SUPPORT_CUSTOM_PBUF 1
#define ETH_PAD_SIZE 2 /* aligns the IP header */

/* ---- interfaces ---------------------------------------------------------------------------- */

#define LWIP_IPV4 1
#define LWIP_IPV6 1
#define LWIP_ARP 1
#define LWIP_ETHERNET 1
#define LWIP_NETIF_LOOPBACK 0 /* loop.c instead: no copies, large packets */
#define LWIP_HAVE_LOOPIF 0
#define LWIP_NETIF_HOSTNAME 1
#define LWIP_NETIF_API 0
#define LWIP_CHECKSUM_CTRL_PER_NETIF 1
#define ARP_TABLE_SIZE 64
#define ARP_QUEUEING 1
#define ARP_QUEUE_LEN 16
#define ETHARP_TRUST_IP_MAC 0
#define ETHARP_SUPPORT_STATIC_ENTRIES 0
#define LWIP_ND6_NUM_NEIGHBORS 64
#define LWIP_ND6_NUM_DESTINATIONS 64
#define LWIP_ND6_QUEUEING 1
#define LWIP_IPV6_NUM_ADDRESSES 5
#define LWIP_IPV6_AUTOCONFIG 1
#define LWIP_IPV6_SCOPES 1
#define LWIP_IPV6_MLD 1
#define MEMP_NUM_ND6_QUEUE 64
#define LWIP_IGMP 0

#define IP_FORWARD 0
#define IP_FRAG 1
#define IP_REASSEMBLY 1
#define IP_REASS_MAX_PBUFS 512
#define MEMP_NUM_REASSDATA 32
#define LWIP_IPV6_FRAG 1
#define LWIP_IPV6_REASS 1
#define IP_REASS_FREE_OLDEST 1
#define IPV6_FRAG_COPYHEADER 1 /* pointers of 8 bytes do not fit in its place */

/* ---- configuration protocols --------------------------------------------------------------- */

#define LWIP_DHCP 1
#define LWIP_DHCP_DOES_ACD_CHECK 0
#define DHCP_DOES_ARP_CHECK 0 /* as clients of a virtual network usually do not */
#define LWIP_DHCP_GET_NTP_SRV 0
#define LWIP_DNS 1 /* remembers servers only: resolving is the C library's */
#define DNS_MAX_SERVERS 3
#define LWIP_DHCP_MAX_DNS_SERVERS DNS_MAX_SERVERS
#define LWIP_ND6_RDNSS_MAX_DNS_SERVERS DNS_MAX_SERVERS

/* ---- TCP ----------------------------------------------------------------------------------- */

/* The largest segment, on loopback; Ethernet's follow its MTU (TCP_CALCULATE_EFF_SEND_MSS). */
#define TCP_MSS 32768
#define TCP_CALCULATE_EFF_SEND_MSS 1
/* They are about the socket layer of lwIP, which counts in 16 bits and is not used. */
#define LWIP_DISABLE_TCP_SANITY_CHECKS 1
#define LWIP_WND_SCALE 1
#define TCP_RCV_SCALE 4
#define TCP_WND (256 * 1024)
#define TCP_SND_BUF (256 * 1024)
#define TCP_SND_QUEUELEN 2048
#define TCP_OVERSIZE 1460
#define TCP_WND_UPDATE_THRESHOLD (TCP_WND / 8)
#define TCP_QUEUE_OOSEQ 1
#define TCP_OOSEQ_MAX_BYTES TCP_WND
#define TCP_OOSEQ_MAX_PBUFS 512
#define LWIP_TCP_SACK_OUT 1
#define LWIP_TCP_KEEPALIVE 1
#define LWIP_TCP_PCB_NUM_EXT_ARGS 1 /* tells us that a pcb is freed */
#define TCP_LISTEN_BACKLOG 1
#define SO_REUSE 1
#define TCP_LOCAL_PORT_RANGE_START 32768
#define TCP_LOCAL_PORT_RANGE_END 61000
#define TCP_ENSURE_LOCAL_PORT_RANGE(port)                                                          \
  ((u16_t)(TCP_LOCAL_PORT_RANGE_START +                                                            \
           (port) % (TCP_LOCAL_PORT_RANGE_END - TCP_LOCAL_PORT_RANGE_START)))
/* Acknowledgements are delayed by at most one interval, time-outs counted in two of them; the
   shortest time-out is 3 slow ticks. */
#define TCP_TMR_INTERVAL 40
#define LWIP_TCP_RTO_TIME 1000
/* TIME_WAIT lasts twice as long. lwIP keeps its connections in lists, so that a minute's worth of
   dead ones, as Linux keeps, would cost more than the safety is worth. */
#define TCP_MSL 2500

/* ---- UDP, ICMP ----------------------------------------------------------------------------- */

#define LWIP_UDP 1
#define LWIP_MULTICAST_TX_OPTIONS 1
#define IP_SOF_BROADCAST 1
#define IP_SOF_BROADCAST_RECV 0
#define UDP_LOCAL_PORT_RANGE_START 32768
#define UDP_LOCAL_PORT_RANGE_END 61000
#define UDP_ENSURE_LOCAL_PORT_RANGE(port)                                                          \
  ((u16_t)(UDP_LOCAL_PORT_RANGE_START +                                                            \
           (port) % (UDP_LOCAL_PORT_RANGE_END - UDP_LOCAL_PORT_RANGE_START)))
#define LWIP_NETBUF_RECVINFO 0
#define LWIP_BROADCAST_PING 0
#define LWIP_MULTICAST_PING 0

#endif
