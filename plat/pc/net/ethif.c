/* SPDX-License-Identifier: MIT */
/* Ethernet interfaces: a struct netdev of a driver on one side, a netif of lwIP on the other. */
#include "kernel/plat.h"
#include "lib/spin.h"
#include "lib/string.h"
#include "lwip/etharp.h"
#include "lwip/ethip6.h"
#include "lwip/netif.h"
#include "lwip/pbuf.h"
#include "netif/ethernet.h"
#include "plat/pc/net/stack.h"
#include "plat/pc/netdev.h"

#define PARTS_MAX 16
#define RING 1024 /* a power of two */
#define ETH_HEADER 14
#define ETH_MIN 60 /* bytes of the shortest frame there is on a wire: lwIP relies on it */

static struct netif netifs[NETDEVS_MAX];
static unsigned n_netifs;

/* Frames that came while somebody else had the stack. */
static struct spin ring_lock;
static struct {
  struct pbuf *p;
  struct netif *netif;
} ring[RING];
static unsigned head, tail;

struct netif *net_eth_at(unsigned n) {
  return n < n_netifs ? &netifs[n] : NULL;
}

/* ---- sending --------------------------------------------------------------------------------- */

/* Parts of the frame behind the padding; 0: too many. */
static unsigned gather(const struct pbuf *p, struct netdev_part *parts) {
  unsigned n = 0;
  size_t skip = ETH_PAD_SIZE;
  for (const struct pbuf *q = p; q; q = q->next) {
    if (q->len <= skip) {
      skip -= q->len;
      continue;
    }
    if (n == PARTS_MAX)
      return 0;
    parts[n++] = (struct netdev_part){(const u8 *)q->payload + skip, q->len - skip};
    skip = 0;
  }
  return n;
}

static err_t link_output(struct netif *netif, struct pbuf *p) {
  struct netdev *d = netif->state;
  struct netdev_part parts[PARTS_MAX];
  struct pbuf *flat = NULL;
  unsigned n = gather(p, parts);
  if (n == 0) {
    flat = pbuf_clone(PBUF_RAW, PBUF_RAM, p);
    if (!flat)
      return ERR_MEM;
    n = gather(flat, parts);
  }
  int err = n ? d->send(d, parts, n) : 0;
  if (flat)
    pbuf_free(flat);
  return err ? ERR_MEM : ERR_OK;
}

static bool is_own4(const ip4_addr_t *to) {
  struct netif *n;
  NETIF_FOREACH(n) {
    if (ip4_addr_cmp(to, netif_ip4_addr(n)) && !ip4_addr_isany(to))
      return true;
  }
  return false;
}

static bool is_own6(const ip6_addr_t *to) {
  struct netif *n;
  NETIF_FOREACH(n) {
    if (netif_get_ip6_addr_match(n, to) >= 0)
      return true;
  }
  return false;
}

static err_t output4(struct netif *n, struct pbuf *p, const ip4_addr_t *to) {
  return is_own4(to) ? net_loop_send(p) : etharp_output(n, p, to);
}

static err_t output6(struct netif *n, struct pbuf *p, const ip6_addr_t *to) {
  return is_own6(to) ? net_loop_send(p) : ethip6_output(n, p, to);
}

/* ---- receiving ------------------------------------------------------------------------------- */

bool net_eth_pending(void) {
  return __atomic_load_n(&head, __ATOMIC_SEQ_CST) != __atomic_load_n(&tail, __ATOMIC_SEQ_CST);
}

static bool push(struct pbuf *p, struct netif *netif) {
  spin_lock(&ring_lock);
  bool ok = head - tail < RING;
  if (ok) {
    ring[head % RING].p = p;
    ring[head % RING].netif = netif;
    __atomic_store_n(&head, head + 1, __ATOMIC_SEQ_CST);
  }
  spin_unlock(&ring_lock);
  return ok;
}

static struct pbuf *pop(struct netif **netif) {
  struct pbuf *p = NULL;
  spin_lock(&ring_lock);
  if (head != tail) {
    p = ring[tail % RING].p;
    *netif = ring[tail % RING].netif;
    __atomic_store_n(&tail, tail + 1, __ATOMIC_SEQ_CST);
  }
  spin_unlock(&ring_lock);
  return p;
}

void net_eth_drain(void) {
  struct netif *netif;
  struct pbuf *p;
  while ((p = pop(&netif)))
    if (netif->input(p, netif) != ERR_OK)
      pbuf_free(p);
}

/* Not locked: the heap takes care of itself, and the new pbuf is ours alone. */
static void receive(struct netdev *d, const void *frame, size_t len) {
  struct netif *netif = d->stack;
  if (len < ETH_HEADER || len > (size_t)netif->mtu + ETH_HEADER + 4)
    return;
  size_t room = max_u64(len, ETH_MIN);
  struct pbuf *p = pbuf_alloc(PBUF_RAW, (u16)(room + ETH_PAD_SIZE), PBUF_RAM);
  if (!p)
    return;
  memcpy((u8 *)p->payload + ETH_PAD_SIZE, frame, len);
  memset((u8 *)p->payload + ETH_PAD_SIZE + len, 0, room - len);
  if (!push(p, netif)) {
    pbuf_free(p);
    return;
  }
  net_kick();
}

/* ---- attaching ------------------------------------------------------------------------------- */

static err_t init(struct netif *n) {
  struct netdev *d = n->state;
  n->name[0] = 'e';
  n->name[1] = 'n';
  n->mtu = (u16)d->mtu;
  n->mtu6 = (u16)d->mtu;
  n->hwaddr_len = sizeof d->mac;
  memcpy(n->hwaddr, d->mac, sizeof d->mac);
  n->flags = NETIF_FLAG_BROADCAST | NETIF_FLAG_ETHARP | NETIF_FLAG_ETHERNET | NETIF_FLAG_MLD6;
  n->linkoutput = link_output;
  n->output = output4;
  n->output_ip6 = output6;
  return ERR_OK;
}

void net_eth_boot(void) {
  struct netdev *d;
  while (n_netifs < NETDEVS_MAX && (d = netdev_at(n_netifs))) {
    struct netif *n = &netifs[n_netifs++];
    netif_add(n, IP4_ADDR_ANY4, IP4_ADDR_ANY4, IP4_ADDR_ANY4, d, init, ethernet_input);
    netif_set_link_up(n);
    d->stack = n;
    d->receive = receive;
  }
  if (n_netifs)
    netif_set_default(&netifs[0]);
}
