/* SPDX-License-Identifier: MIT */
/*
 * Addresses of the interfaces, from words of the kernel's command line (other words are ignored,
 * and so is all behind `--`):
 *
 *   ip=dhcp | ip=off | ip=ADDRESS/BITS[,gw=ADDRESS][,dns=ADDRESS]...
 *   ip6=auto | ip6=off | ip6=ADDRESS/BITS[,gw=ADDRESS][,dns=ADDRESS]...
 *   hostname=NAME
 *
 * for the first Ethernet interface, and net1.ip=..., net1.ip6=... for the second and so on. The
 * first one does without words what ip=dhcp ip6=auto say. `auto` listens to routers (SLAAC, RDNSS).
 */
#ifndef UFORK_PC_NET_CONFIG_H
#define UFORK_PC_NET_CONFIG_H

#include "lib/types.h"

/* At boot. -EINVAL: a word of ours is not understood; the rest is done. NULL is "". */
int net_configure(const char *words);

/* Whether DHCP may still give the first interface its address: for a few seconds after boot. Lock
   held or not. */
bool net_is_configuring(void);

/* Contents of /etc/resolv.conf for the name servers known now; length without the NUL. Takes the
   stack's lock. */
size_t net_resolv_conf(char *buf, size_t size);

#endif
