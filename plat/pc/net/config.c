/* SPDX-License-Identifier: MIT */
#include "plat/pc/net/config.h"
#include "kernel/errno.h"
#include "kernel/klog.h"
#include "kernel/plat.h"
#include "lib/fmt.h"
#include "lib/string.h"
#include "lwip/dhcp.h"
#include "lwip/dns.h"
#include "lwip/netif.h"
#include "plat/pc/net/hooks.h"
#include "plat/pc/net/stack.h"
#include "plat/pc/netdev.h"

#define WORD_MAX 256
#define DHCP_PATIENCE 10000000000u /* ns */

static char hostname[64] = "ufork";
static u64 patience_ends; /* 0: no DHCP */
static ip6_addr_t gateway6[NETDEVS_MAX];
static bool told4[NETDEVS_MAX], told6[NETDEVS_MAX]; /* by the configuration */
static u8 n_dns;

/* ---- pieces of text -------------------------------------------------------------------------- */

/* The next piece of *at up to one of `ends`, in buf; false: there is none. Pieces that are too long
   are cut, and then understood by nobody. */
static bool piece(const char **at, const char *ends, char *buf, size_t size) {
  const char *p = *at;
  size_t n = 0;
  while (*p && strchr(ends, *p))
    p++;
  if (!*p)
    return false;
  for (; *p && !strchr(ends, *p); p++)
    if (n + 1 < size)
      buf[n++] = *p;
  buf[n] = 0;
  *at = p;
  return true;
}

/* The next word, up to the program's. */
static bool next_word(const char **at, char word[WORD_MAX]) {
  return *at && piece(at, " \t\n", word, WORD_MAX) && strcmp(word, "--") != 0;
}

/* What follows `name` in text, or NULL. */
static const char *after(const char *text, const char *name) {
  size_t n = strlen(name);
  return strncmp(text, name, n) == 0 ? text + n : NULL;
}

static int number(const char *s, unsigned max) {
  unsigned v = 0;
  if (!*s)
    return -EINVAL;
  for (; *s; s++) {
    if (*s < '0' || *s > '9')
      return -EINVAL;
    v = v * 10 + (unsigned)(*s - '0');
    if (v > max)
      return -EINVAL;
  }
  return (int)v;
}

/* "ADDRESS/BITS": cuts text at the slash. Bits or -EINVAL. */
static int split_bits(char *text, unsigned max) {
  char *slash = strchr(text, '/');
  if (!slash)
    return -EINVAL;
  *slash = 0;
  return number(slash + 1, max);
}

static int add_dns(const char *text) {
  ip_addr_t a;
  if (n_dns >= DNS_MAX_SERVERS || !ipaddr_aton(text, &a))
    return -EINVAL;
  dns_setserver(n_dns++, &a);
  return 0;
}

/* ---- IPv4 ------------------------------------------------------------------------------------ */

static int start_dhcp(struct netif *n) {
  netif_set_up(n);
  patience_ends = plat_now() + DHCP_PATIENCE;
  return dhcp_start(n) == ERR_OK ? 0 : -ENOMEM;
}

static int static4(struct netif *n, const char *text) {
  char word[WORD_MAX];
  ip4_addr_t ip, mask, gw;
  const char *v;
  if (!piece(&text, ",", word, sizeof word))
    return -EINVAL;
  int bits = split_bits(word, 32);
  if (bits < 0 || !ip4addr_aton(word, &ip))
    return -EINVAL;
  ip4_addr_set_u32(&mask, bits ? lwip_htonl(~0u << (32 - bits)) : 0);
  ip4_addr_set_zero(&gw);
  while (piece(&text, ",", word, sizeof word)) {
    if ((v = after(word, "gw="))) {
      if (!ip4addr_aton(v, &gw))
        return -EINVAL;
    } else if (!(v = after(word, "dns=")) || add_dns(v)) {
      return -EINVAL;
    }
  }
  netif_set_addr(n, &ip, &mask, &gw);
  netif_set_up(n);
  return 0;
}

static int configure4(struct netif *n, const char *text) {
  if (strcmp(text, "off") == 0)
    return 0;
  return strcmp(text, "dhcp") == 0 ? start_dhcp(n) : static4(n, text);
}

/* ---- IPv6 ------------------------------------------------------------------------------------ */

const ip6_addr_t *net_ip6_gateway(struct netif *netif, const ip6_addr_t *to) {
  (void)to;
  for (unsigned i = 0; i < NETDEVS_MAX; i++)
    if (net_eth_at(i) == netif && !ip6_addr_isany(&gateway6[i]))
      return &gateway6[i];
  return NULL;
}

static int static6(struct netif *n, unsigned index, const char *text) {
  char word[WORD_MAX];
  ip6_addr_t ip;
  s8_t slot;
  const char *v;
  if (!piece(&text, ",", word, sizeof word))
    return -EINVAL;
  /* lwIP takes the on-link prefix of a static address for 64 bits. */
  if (split_bits(word, 128) != 64 || !ip6addr_aton(word, &ip))
    return -EINVAL;
  while (piece(&text, ",", word, sizeof word)) {
    if ((v = after(word, "gw="))) {
      if (!ip6addr_aton(v, &gateway6[index]))
        return -EINVAL;
      ip6_addr_assign_zone(&gateway6[index], IP6_UNICAST, n);
    } else if (!(v = after(word, "dns=")) || add_dns(v)) {
      return -EINVAL;
    }
  }
  if (netif_add_ip6_address(n, &ip, &slot) != ERR_OK)
    return -EINVAL;
  netif_ip6_addr_set_state(n, slot, IP6_ADDR_PREFERRED);
  return 0;
}

static int configure6(struct netif *n, unsigned index, const char *text) {
  if (strcmp(text, "off") == 0)
    return 0;
  netif_create_ip6_linklocal_address(n, 1);
  netif_set_up(n);
  if (strcmp(text, "auto") != 0)
    return static6(n, index, text);
  netif_set_ip6_autoconfig_enabled(n, 1);
  return 0;
}

/* ---- words ----------------------------------------------------------------------------------- */

/* Number of the interface that a word is about, and the word without it. */
static unsigned which(const char **word) {
  const char *w = after(*word, "net");
  if (w && w[0] >= '0' && w[0] <= '9' && w[1] == '.') {
    *word = w + 2;
    return (unsigned)(w[0] - '0');
  }
  return 0;
}

static int apply(const char *word) {
  const char *v;
  unsigned i = which(&word);
  bool six = after(word, "ip6=");
  v = after(word, six ? "ip6=" : "ip=");
  if (!v)
    return 0;
  struct netif *n = net_eth_at(i);
  if (!n)
    return i == 0 ? 0 : -EINVAL; /* without any device the words are harmless */
  (six ? told6 : told4)[i] = true;
  return six ? configure6(n, i, v) : configure4(n, v);
}

/* DHCP tells the name to the server, so it is wanted first. */
static void find_hostname(const char *words) {
  char word[WORD_MAX];
  const char *v;
  while (next_word(&words, word))
    if ((v = after(word, "hostname=")))
      str_copy(hostname, v, sizeof hostname);
}

static void defaults(void) {
  struct netif *n = net_eth_at(0);
  if (n && !told4[0])
    configure4(n, "dhcp");
  if (n && !told6[0])
    configure6(n, 0, "auto");
}

int net_configure(const char *words) {
  char word[WORD_MAX];
  int ret = 0;
  struct netif *n;
  find_hostname(words);
  for (unsigned i = 0; (n = net_eth_at(i)); i++)
    netif_set_hostname(n, hostname);
  while (next_word(&words, word)) {
    int err = apply(word);
    if (err) {
      klog("network: cannot use '%s'", word);
      ret = err;
    }
  }
  defaults();
  return ret;
}

bool net_is_configuring(void) {
  struct netif *n = net_eth_at(0);
  return n && patience_ends && plat_now() < patience_ends && !dhcp_supplied_address(n);
}

size_t net_resolv_conf(char *buf, size_t size) {
  size_t n = 0;
  char text[64];
  buf[0] = 0;
  net_lock();
  for (u8 i = 0; i < DNS_MAX_SERVERS; i++) {
    const ip_addr_t *a = dns_getserver(i);
    if (ip_addr_isany(a) || !ipaddr_ntoa_r(a, text, sizeof text))
      continue;
    int more = fmt(buf + n, size - n, "nameserver %s\n", text);
    if ((size_t)more >= size - n) {
      buf[n] = 0;
      break;
    }
    n += (size_t)more;
  }
  net_unlock();
  return n;
}
