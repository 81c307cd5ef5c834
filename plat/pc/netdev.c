/* SPDX-License-Identifier: MIT */
#include "plat/pc/netdev.h"
#include "kernel/errno.h"

static struct netdev *devs[NETDEVS_MAX];
static unsigned n_devs;

/* Boot only, so nobody else registers; readers may run already. */
int netdev_register(struct netdev *d) {
  if (n_devs == NETDEVS_MAX)
    return -ENOSPC;
  d->next = NULL;
  if (n_devs > 0)
    devs[n_devs - 1]->next = d;
  __atomic_store_n(&devs[n_devs], d, __ATOMIC_RELEASE);
  n_devs++;
  return 0;
}

struct netdev *netdev_at(unsigned n) {
  return n < NETDEVS_MAX ? __atomic_load_n(&devs[n], __ATOMIC_ACQUIRE) : NULL;
}
