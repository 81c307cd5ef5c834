/* SPDX-License-Identifier: MIT */
/*
 * Loopback: 127.0.0.0/8 and ::1, and packets that the other interfaces would send to ourselves.
 * Headers are copied, because both ends write to them; data stays where the sender put it, held by
 * references until the receiver has read it.
 */
#include "arch/cc.h"
#include "lib/string.h"
#include "lwip/ip.h"
#include "lwip/netif.h"
#include "lwip/pbuf.h"
#include "plat/pc/net/stack.h"

#define HEADERS 128 /* more than the headers of IP and TCP with all options */
#define COPY_MAX 512
#define LOOP_MTU 65535
#define RING 1024 /* a power of two */

static struct netif loop;
static struct pbuf *ring[RING];
static unsigned head, tail;

struct netif *net_loop(void) {
  return &loop;
}

/* ---- references ------------------------------------------------------------------------------ */

struct reference {
  struct pbuf_custom custom;
  struct pbuf *to;
};

static void reference_free(struct pbuf *p) {
  struct reference *r = container_of(p, struct reference, custom.pbuf);
  pbuf_free(r->to);
  net_mem_free(r);
}

/* q's bytes from `off` on. */
static struct pbuf *reference(struct pbuf *q, u16 off) {
  struct reference *r = net_mem_alloc(sizeof *r);
  if (!r)
    return NULL;
  memset(r, 0, sizeof *r);
  r->custom.custom_free_function = reference_free;
  r->to = q;
  pbuf_ref(q);
  return pbuf_alloced_custom(PBUF_RAW, (u16)(q->len - off), PBUF_REF, &r->custom,
                             (u8 *)q->payload + off, (u16)(q->len - off));
}

/* The payload lives as long as the pbuf. */
static bool owns_payload(const struct pbuf *q) {
  return pbuf_match_allocsrc(q, PBUF_RAM) || q->flags & PBUF_FLAG_IS_CUSTOM;
}

static bool can_share(const struct pbuf *p) {
  for (const struct pbuf *q = p; q; q = q->next)
    if (!owns_payload(q))
      return false;
  return true;
}

/* Appends references to the bytes of p behind its first `off`. */
static int share_rest(struct pbuf *to, struct pbuf *p, u16 off) {
  for (struct pbuf *q = p; q; q = q->next) {
    if (off >= q->len) {
      off = (u16)(off - q->len);
      continue;
    }
    struct pbuf *r = reference(q, off);
    if (!r)
      return ERR_MEM;
    pbuf_cat(to, r);
    off = 0;
  }
  return ERR_OK;
}

static struct pbuf *duplicate(struct pbuf *p) {
  if (p->tot_len <= COPY_MAX || !can_share(p))
    return pbuf_clone(PBUF_RAW, PBUF_RAM, p);
  u16 n = (u16)min_u64(p->len, HEADERS);
  struct pbuf *h = pbuf_alloc(PBUF_RAW, n, PBUF_RAM);
  if (!h)
    return NULL;
  memcpy(h->payload, p->payload, n);
  if (share_rest(h, p, n) == ERR_OK)
    return h;
  pbuf_free(h);
  return NULL;
}

/* ---- the interface --------------------------------------------------------------------------- */

int net_loop_send(struct pbuf *p) {
  if (head - tail == RING)
    return ERR_BUF;
  struct pbuf *copy = duplicate(p);
  if (!copy)
    return ERR_MEM;
  ring[head++ % RING] = copy;
  return ERR_OK;
}

void net_loop_drain(void) {
  while (tail != head)
    ip_input(ring[tail++ % RING], &loop);
}

static err_t output4(struct netif *n, struct pbuf *p, const ip4_addr_t *to) {
  (void)n, (void)to;
  return net_loop_send(p);
}

static err_t output6(struct netif *n, struct pbuf *p, const ip6_addr_t *to) {
  (void)n, (void)to;
  return net_loop_send(p);
}

static err_t init(struct netif *n) {
  n->name[0] = 'l';
  n->name[1] = 'o';
  n->mtu = LOOP_MTU;
  n->mtu6 = LOOP_MTU;
  n->output = output4;
  n->output_ip6 = output6;
  NETIF_SET_CHECKSUM_CTRL(n, NETIF_CHECKSUM_DISABLE_ALL);
  return ERR_OK;
}

void net_loop_boot(void) {
  ip4_addr_t ip, mask, gw;
  IP4_ADDR(&ip, 127, 0, 0, 1);
  IP4_ADDR(&mask, 255, 0, 0, 0);
  ip4_addr_set_zero(&gw);
  netif_add(&loop, &ip, &mask, &gw, NULL, init, ip_input);
  IP_ADDR6_HOST(loop.ip6_addr, 0, 0, 0, 1);
  netif_ip6_addr_set_state(&loop, 0, IP6_ADDR_PREFERRED);
  netif_set_link_up(&loop);
  netif_set_up(&loop);
}
