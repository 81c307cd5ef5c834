/* SPDX-License-Identifier: MIT */
/*
 * The network stack on the host: kernel threads are host threads, the heap is malloc (so that the
 * address sanitizer sees every block), the network card is in the hands of the test.
 */
#ifndef UFORK_TEST_NET_ENV_H
#define UFORK_TEST_NET_ENV_H

#include "kernel/test/fs_env.h"
#include "plat/pc/netdev.h"

/* Boots file systems and the stack with one card, and starts timers and pollers. */
void net_env_boot(const char *config);

/* Runs f(arg) in a thread of the same process; net_env_join waits for its end. */
struct net_thread;
struct net_thread *net_env_thread(void (*f)(void *arg), void *arg);
void net_env_join(struct net_thread *t);

/* The card. Frames that the stack sends go to net_env_sent (any thread, stack locked); NULL: lost.
 */
extern struct netdev net_env_card;
extern void (*net_env_sent)(const u8 *frame, size_t len);
/* A frame arrives. */
void net_env_receive(const u8 *frame, size_t len);

extern size_t net_env_heap;         /* bytes in use */
extern unsigned net_env_fail_every; /* the n-th allocation fails; 0: none */

void net_env_sleep_ms(unsigned ms);

#endif
