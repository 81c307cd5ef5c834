/* SPDX-License-Identifier: MIT */
/*
 * Where a network driver and the network stack meet: Ethernet frames, whole and without checksum
 * offload. The driver fills a struct netdev and registers it at boot, for good; the stack attaches
 * to it. Registered devices are few and never go away.
 */
#ifndef UFORK_PC_NETDEV_H
#define UFORK_PC_NETDEV_H

#include "lib/types.h"

struct netdev_part {
  const void *data;
  size_t len;
};

struct netdev {
  u8 mac[6];
  u32 mtu; /* payload bytes, without the Ethernet header */

  /* Driver: queues one frame gathered from n parts (copied, or consumed before it returns). Thread
     context, the stack's lock held. 0; -ENOBUFS: the queue is full, the frame is lost. */
  int (*send)(struct netdev *d, const struct netdev_part *parts, unsigned n);

  /* Stack: takes a received frame, which is the driver's again when it returns. Called by the
     driver's poller (irq.h) in thread context with no locks held. NULL until a stack is attached.
   */
  void (*receive)(struct netdev *d, const void *frame, size_t len);
  void *stack; /* the stack's own */

  struct netdev *next;
};

#define NETDEVS_MAX 8
/* Registers d; -ENOSPC. */
int netdev_register(struct netdev *d);
/* The n-th registered device or NULL. */
struct netdev *netdev_at(unsigned n);

#endif
