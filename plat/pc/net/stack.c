/* SPDX-License-Identifier: MIT */
/* The lock of the network stack, and the work that is done before it is let go. */
#include "plat/pc/net/stack.h"
#include "kernel/sched/sched.h"
#include "lwip/init.h"
#include "plat/pc/irq.h"
#include "plat/pc/net/config.h"

static struct mutex lock;

void net_lock(void) { mutex_lock(&lock); }

static void drain(void) {
  net_timers_run(plat_now());
  net_eth_drain();
  net_loop_drain();
}

static bool pending(void) { return net_eth_pending() || net_timers_due(); }

/* Whoever queues work looks at the lock afterwards, we at the queue after letting go: one of the
   two sees the other. */
void net_unlock(void) {
  do {
    drain();
    mutex_unlock(&lock);
  } while (pending() && mutex_trylock(&lock));
}

void net_kick(void) {
  if (mutex_trylock(&lock))
    net_unlock();
}

static void poll(void *arg) {
  (void)arg;
  if (pending())
    net_kick();
}

int net_boot(const char *config) {
  mutex_init(&lock);
  net_random_boot();
  lwip_init();
  net_loop_boot();
  net_eth_boot();
  if (net_eth_at(0))
    net_timers_full();
  io_poller_add(poll, NULL);
  return net_configure(config);
}
