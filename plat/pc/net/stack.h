/* SPDX-License-Identifier: MIT */
/*
 * The network stack: lwIP behind one lock. Socket calls take the lock and call lwIP; frames from
 * drivers and timers never wait for it, because they may run on an idle CPU: they leave their work
 * in a queue, and whoever holds the lock does it before letting go. Callbacks of lwIP therefore run
 * on whatever thread that is, with the lock held, and must neither sleep nor touch user memory.
 *
 * Lock order: a socket's recv_lock -> the stack's lock -> queues' and timers' spinlocks.
 */
#ifndef UFORK_PC_NET_STACK_H
#define UFORK_PC_NET_STACK_H

#include "lib/types.h"

struct netif;
struct netdev;
struct pbuf;

/* Starts the stack: loopback, the registered netdevs, addresses as `config` says (config.h). Once,
   at boot, after the drivers' start and before the first thread. 0; -EINVAL: config is not
   understood (loopback works all the same). */
int net_boot(const char *config);

/* Thread context, no spinlocks held. net_unlock also does the work that has come up meanwhile. */
void net_lock(void);
void net_unlock(void);

/* Something is queued or due: done now if the lock is free, or by its holder. Any context that may
   call drivers: thread or idle, no locks held. */
void net_kick(void);

/* ---- inside the stack: lock held ----------------------------------------------------------- */

/* timers.c: runs what is due at `now` (plat_now) and arms a kernel timer for the next. */
void net_timers_run(u64 now);
/* Whether the kernel timer has fired since the last net_timers_run. No lock needed. */
bool net_timers_due(void);
/* From now on the timers of address resolution, DHCP and the like run too. */
void net_timers_full(void);

/* loop.c: the loopback interface. net_loop_send queues a packet that comes back in. */
void net_loop_boot(void);
int net_loop_send(struct pbuf *p); /* err_t */
void net_loop_drain(void);
struct netif *net_loop(void);

/* ethif.c: attaches all registered netdevs; frames that came while the lock was taken. */
void net_eth_boot(void);
void net_eth_drain(void);
bool net_eth_pending(void);
/* n-th Ethernet interface or NULL. */
struct netif *net_eth_at(unsigned n);

/* random.c: once, before lwIP starts. */
void net_random_boot(void);

/* memory.c: large buffers, LIFO-cached because the kernel's heap would clear them each time. */
#define NET_BIG 32768
void *net_big_get(void); /* NET_BIG bytes or NULL. Any context. */
void net_big_put(void *p);
/* Bytes that the stack has allocated, and may at most. */
u64 net_mem_used(void), net_mem_limit(void);

#endif
