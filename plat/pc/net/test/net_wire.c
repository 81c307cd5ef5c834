/* SPDX-License-Identifier: MIT */
/*
 * The stack against a scripted peer on the wire, which speaks in frames: ARP, ping, UDP, TCP by
 * hand, DHCP, and then a bounded number of frames that are valid but for some random damage.
 */
#include "kernel/test/fake/check.h"
#include "plat/pc/net/config.h"
#include "plat/pc/net/stack.h"
#include "plat/pc/net/test/net_env.h"
#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define FRAME_MAX 1514
#define FUZZ_FRAMES 60000
#define ETH 14
#define IP (ETH + 20)
#define WAIT_MS 60000

struct frame {
  u8 b[FRAME_MAX];
  size_t len;
};

static const u8 our_mac[6] = {2, 0, 0, 0, 0, 1}, peer_mac[6] = {2, 0, 0, 0, 0, 2};
static const u8 our_ip[4] = {10, 0, 9, 1}, peer_ip[4] = {10, 0, 9, 2};
static u8 *buf;
static struct sockaddr_in *addr;
static u64 state = 11;

static u32 rnd(u32 n) {
  state = state * 6364136223846793005ULL + 1442695040888963407ULL;
  return (u32)(state >> 33) % n;
}

static void put16(u8 *p, u32 v) { p[0] = (u8)(v >> 8), p[1] = (u8)v; }
static void put32(u8 *p, u32 v) { put16(p, v >> 16), put16(p + 2, v); }
static u32 get16(const u8 *p) { return (u32)p[0] << 8 | p[1]; }
static u32 get32(const u8 *p) { return get16(p) << 16 | get16(p + 2); }

/* ---- what the stack has sent ----------------------------------------------------------------- */

#define SENT_MAX 256
static struct frame sent[SENT_MAX];
static unsigned n_sent;
static pthread_mutex_t sent_lock = PTHREAD_MUTEX_INITIALIZER;

static void on_sent(const u8 *b, size_t len) {
  pthread_mutex_lock(&sent_lock);
  memcpy(sent[n_sent % SENT_MAX].b, b, len);
  sent[n_sent++ % SENT_MAX].len = len;
  pthread_mutex_unlock(&sent_lock);
}

static unsigned mark(void) { return __atomic_load_n(&n_sent, __ATOMIC_SEQ_CST); }

/* The first frame since `from` that match accepts, copied to *f. */
static bool await_frame(unsigned from, bool (*match)(const struct frame *f), struct frame *f) {
  for (int k = 0; k < WAIT_MS; k++) {
    pthread_mutex_lock(&sent_lock);
    for (unsigned i = from; i < n_sent; i++) {
      if (!match(&sent[i % SENT_MAX]))
        continue;
      *f = sent[i % SENT_MAX];
      pthread_mutex_unlock(&sent_lock);
      return true;
    }
    pthread_mutex_unlock(&sent_lock);
    net_env_sleep_ms(1);
  }
  return false;
}

/* ---- making frames --------------------------------------------------------------------------- */

/* By the book, unlike the one under test. */
static u32 sum16(const u8 *p, size_t n) {
  u32 s = 0;
  for (size_t i = 0; i + 1 < n; i += 2)
    s += get16(p + i);
  return n % 2 ? s + (u32)p[n - 1] * 256 : s;
}
static u32 fold(u32 s) {
  while (s >> 16)
    s = (s & 0xffff) + (s >> 16);
  return s;
}

static void ethernet(struct frame *f, const u8 *to, u32 type) {
  memset(f, 0, sizeof *f);
  memcpy(f->b, to, 6);
  memcpy(f->b + 6, peer_mac, 6);
  put16(f->b + 12, type);
}

/* Offset of the transport's checksum, 0: none. */
static size_t checksum_at(u32 proto) {
  return proto == 1 || proto == 58 ? 2 : proto == 6 ? 16 : proto == 17 ? 6 : 0;
}

/* Sets all checksums as the frame's own lengths say, as far as it goes. */
static void fix4(struct frame *f) {
  u8 *ip = f->b + ETH;
  size_t header = (size_t)(ip[0] & 15) * 4, total = get16(ip + 2), at = checksum_at(ip[9]);
  if (header < 20 || total < header || ETH + total > f->len)
    return;
  put16(ip + 10, 0);
  put16(ip + 10, ~fold(sum16(ip, header)));
  size_t n = total - header;
  if (!at || n < at + 2)
    return;
  put16(ip + header + at, 0);
  u32 pseudo = ip[9] == 1 ? 0 : sum16(ip + 12, 8) + ip[9] + (u32)n;
  put16(ip + header + at, ~fold(sum16(ip + header, n) + pseudo));
}

static void fix6(struct frame *f) {
  u8 *ip = f->b + ETH;
  size_t n = get16(ip + 4), at = checksum_at(ip[6]);
  if (ETH + 40 + n > f->len || !at || n < at + 2)
    return;
  put16(ip + 40 + at, 0);
  put16(ip + 40 + at, ~fold(sum16(ip + 40, n) + sum16(ip + 8, 32) + ip[6] + (u32)n));
}

static void fix(struct frame *f) {
  if (f->len >= ETH + 20 && get16(f->b + 12) == 0x800)
    fix4(f);
  else if (f->len >= ETH + 40 && get16(f->b + 12) == 0x86dd)
    fix6(f);
}

static void ip4(struct frame *f, u32 proto, const void *data, size_t n) {
  static u16 id;
  ethernet(f, our_mac, 0x800);
  u8 *ip = f->b + ETH;
  ip[0] = 0x45;
  put16(ip + 2, 20 + (u32)n);
  put16(ip + 4, ++id);
  ip[8] = 64;
  ip[9] = (u8)proto;
  memcpy(ip + 12, peer_ip, 4);
  memcpy(ip + 16, our_ip, 4);
  memcpy(ip + 20, data, n);
  f->len = IP + n;
  fix(f);
}

static void ip6(struct frame *f, u32 next, const u8 *data, size_t n) {
  static const u8 from[16] = {0xfe, 0x80, [15] = 2}, to[16] = {0xfd, 0, 0, 9, [15] = 1};
  ethernet(f, our_mac, 0x86dd);
  u8 *ip = f->b + ETH;
  ip[0] = 0x60;
  put16(ip + 4, (u32)n);
  ip[6] = (u8)next;
  ip[7] = 255;
  memcpy(ip + 8, from, 16);
  memcpy(ip + 24, to, 16);
  memcpy(ip + 40, data, n);
  f->len = ETH + 40 + n;
  fix(f);
}

static void udp4(struct frame *f, u16 from, u16 to, const void *data, size_t n) {
  u8 u[FRAME_MAX] = {0};
  put16(u, from), put16(u + 2, to), put16(u + 4, 8 + (u32)n);
  memcpy(u + 8, data, n);
  ip4(f, 17, u, 8 + n);
}

struct tcp {
  u16 from, to;
  u32 seq, ack;
  u8 flags;
};
enum { FIN = 1, SYN = 2, RST = 4, PSH = 8, ACK = 16 };

static void tcp4(struct frame *f, const struct tcp *t, const void *data, size_t n) {
  u8 s[FRAME_MAX] = {0};
  put16(s, t->from), put16(s + 2, t->to), put32(s + 4, t->seq), put32(s + 8, t->ack);
  s[12] = 0x50, s[13] = t->flags;
  put16(s + 14, 30000);
  memcpy(s + 20, data, n);
  ip4(f, 6, s, 20 + n);
}

static void arp(struct frame *f, u32 op) {
  ethernet(f, op == 1 ? (const u8 *)"\xff\xff\xff\xff\xff\xff" : our_mac, 0x806);
  memcpy(f->b + ETH, "\0\1\10\0\6\4", 6);
  put16(f->b + ETH + 6, op);
  memcpy(f->b + ETH + 8, peer_mac, 6);
  memcpy(f->b + ETH + 14, peer_ip, 4);
  memcpy(f->b + ETH + 18, our_mac, 6);
  memcpy(f->b + ETH + 24, our_ip, 4);
  f->len = ETH + 28;
}

static void ping4(struct frame *f, size_t n) {
  u8 icmp[FRAME_MAX] = {8};
  for (size_t k = 8; k < n; k++)
    icmp[k] = (u8)k;
  ip4(f, 1, icmp, n);
}

static void arrive(const struct frame *f) { net_env_receive(f->b, f->len); }

/* ---- frames of the stack --------------------------------------------------------------------- */

static bool is_arp_reply(const struct frame *f) {
  return get16(f->b + 12) == 0x806 && get16(f->b + ETH + 6) == 2;
}
static bool is_ip(const struct frame *f, u32 proto) {
  return get16(f->b + 12) == 0x800 && f->b[ETH + 9] == proto;
}
static bool is_pong(const struct frame *f) { return is_ip(f, 1) && f->b[IP] == 0; }
static bool is_udp(const struct frame *f) { return is_ip(f, 17); }
static bool is_synack(const struct frame *f) { return is_ip(f, 6) && f->b[IP + 13] == (SYN | ACK); }
static bool is_data(const struct frame *f) {
  return is_ip(f, 6) && get16(f->b + ETH + 2) > 20 + (size_t)(f->b[IP + 12] >> 4) * 4;
}
static bool is_fin(const struct frame *f) { return is_ip(f, 6) && f->b[IP + 13] & FIN; }

/* A frame whose checksums are not what fix makes of it is wrong. */
static bool is_sound(const struct frame *f) {
  struct frame copy = *f;
  fix(&copy);
  return memcmp(copy.b, f->b, f->len) == 0;
}

/* ---- the tests ------------------------------------------------------------------------------- */

static void answers(void) {
  struct frame f, r;
  unsigned from = mark();
  arp(&f, 1);
  arrive(&f);
  CHECK(await_frame(from, is_arp_reply, &r));
  CHECK(memcmp(r.b + ETH + 8, our_mac, 6) == 0 && memcmp(r.b, peer_mac, 6) == 0);
  for (size_t n = 8; n < 1400; n += 97) {
    from = mark();
    ping4(&f, n);
    arrive(&f);
    CHECK(await_frame(from, is_pong, &r));
    CHECK(is_sound(&r) && r.len >= IP + n && memcmp(r.b + IP + 8, f.b + IP + 8, n - 8) == 0);
  }
}

static int bound(int type, u16 port) {
  int fd = (int)CALL(socket, AF_INET, type, 0);
  *addr = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(port)};
  CHECK(CALL(bind, fd, addr, sizeof *addr) == 0);
  return fd;
}

static void udp(void) {
  struct frame f, r;
  int fd = bound(SOCK_DGRAM, 5000);
  u32 *len = (u32 *)(addr + 1);
  udp4(&f, 777, 5000, "hello", 5);
  arrive(&f);
  *len = sizeof *addr;
  CHECK(CALL6(recvfrom, fd, buf, 100, 0, addr, len) == 5);
  CHECK(addr->sin_port == htons(777) && memcmp(&addr->sin_addr, peer_ip, 4) == 0);
  unsigned from = mark();
  CHECK(CALL6(sendto, fd, buf, 5, 0, addr, sizeof *addr) == 5);
  CHECK(await_frame(from, is_udp, &r));
  CHECK(is_sound(&r) && memcmp(r.b + IP + 8, "hello", 5) == 0);
  CALL(close, fd);
}

static void segment(struct tcp *t, u8 flags, const char *data) {
  struct frame f;
  t->flags = flags;
  tcp4(&f, t, data, strlen(data));
  arrive(&f);
}

/* A connection by hand: segments in the wrong order, twice, and beyond the window. */
static void tcp(void) {
  struct frame r;
  struct tcp t = {.from = 4242, .to = 5001, .seq = 1000};
  int l = bound(SOCK_STREAM, 5001);
  CHECK(CALL(listen, l, 5) == 0);
  unsigned from = mark();
  segment(&t, SYN, "");
  CHECK(await_frame(from, is_synack, &r));
  CHECK(is_sound(&r) && get32(r.b + IP + 8) == 1001);
  t.ack = get32(r.b + IP + 4) + 1;
  t.seq = 1001;
  segment(&t, ACK, "");
  int fd = (int)CALL(accept, l, 0, 0);
  CHECK(fd >= 0);
  t.seq = 1006;
  segment(&t, ACK | PSH, "world");
  CHECK(CALL6(recvfrom, fd, buf, 100, MSG_DONTWAIT, 0, 0) == -EAGAIN);
  t.seq = 1001;
  segment(&t, ACK | PSH, "hello");
  segment(&t, ACK | PSH, "hello");
  t.seq = 0x70000000;
  segment(&t, ACK | PSH, "far away");
  CHECK(CALL6(recvfrom, fd, buf, 100, 0, 0, 0) == 10 && memcmp(buf, "helloworld", 10) == 0);
  from = mark();
  CHECK(CALL6(sendto, fd, buf, 10, 0, 0, 0) == 10);
  CHECK(await_frame(from, is_data, &r) && is_sound(&r));
  t.seq = 1011, t.ack += 10;
  segment(&t, ACK | FIN, "");
  CHECK(CALL6(recvfrom, fd, buf, 100, 0, 0, 0) == 0);
  from = mark();
  CALL(close, fd);
  CHECK(await_frame(from, is_fin, &r));
  t.seq = 1012, t.ack++;
  segment(&t, ACK, "");
  CALL(close, l);
}

/* ---- damaged frames -------------------------------------------------------------------------- */

static void valid(struct frame *f, u32 kind, u16 port) {
  static const u8 echo6[16] = {128, 0, 0, 0, 1, 2, 3, 4},
                  ns[24] = {135, [8] = 0xfd, 0, 0, 9, [23] = 1};
  static const u8 ra[16 + 32 + 24] = {134,  [4] = 64,   [6] = 1,     [16] = 3,    4, 64,
                                      0xc0, [23] = 200, [27] = 100,  [32] = 0xfd, 7, [48] = 25,
                                      3,    [55] = 60,  [56] = 0xfd, [71] = 9};
  static const u8 frag6[16] = {17, 0, 0, 1, 0, 0, 0, 9};
  struct tcp t = {.from = (u16)(3000 + rnd(8)),
                  .to = port,
                  .seq = rnd(3) ? 5 : rnd(1u << 30) * 4,
                  .ack = rnd(2)};
  static const u8 flags[] = {SYN, ACK, ACK | PSH, FIN | ACK, RST, SYN | ACK, RST | ACK};
  switch (kind) {
  case 0:
    arp(f, 1 + rnd(2));
    break;
  case 1:
    ping4(f, 8 + rnd(200));
    break;
  case 2:
    udp4(f, 777, rnd(2) ? 5002 : 68, "some bytes", 10);
    break;
  case 3:
    t.flags = flags[rnd(sizeof flags)];
    tcp4(f, &t, "data", rnd(5));
    break;
  case 4:
    ip6(f, 58, echo6, sizeof echo6);
    break;
  case 5:
    ip6(f, 58, ns, sizeof ns);
    break;
  case 6:
    ip6(f, 58, ra, sizeof ra);
    break;
  case 7:
    ip6(f, 44, frag6, sizeof frag6);
    break;
  default:
    udp4(f, 777, 5002, ra, 8 + rnd(30));
    put16(f->b + ETH + 6, (rnd(2) ? 0x2000 : 0) | rnd(20));
    fix(f);
  }
}

static void damage(struct frame *f) {
  for (u32 n = rnd(6); n > 0; n--)
    f->b[ETH + rnd((u32)(f->len - ETH))] = rnd(3) ? (u8)rnd(256) : (u8)(rnd(2) * 255);
  if (rnd(6) == 0)
    f->len = rnd((u32)f->len + 1);
  if (rnd(6) == 0 && f->len + 40 < FRAME_MAX)
    f->len += rnd(40);
  if (rnd(4))
    fix(f);
}

static void fuzz(void) {
  struct frame f, r;
  int u = bound(SOCK_DGRAM | SOCK_NONBLOCK, 5002), l = bound(SOCK_STREAM | SOCK_NONBLOCK, 5002);
  int raw = (int)CALL(socket, AF_INET, SOCK_RAW | SOCK_NONBLOCK, IPPROTO_ICMP);
  CHECK(raw >= 0);
  CHECK(CALL(listen, l, 50) == 0);
  for (int k = 0; k < FUZZ_FRAMES; k++) {
    valid(&f, rnd(9), 5002);
    damage(&f);
    arrive(&f);
    if (k % 50)
      continue;
    CALL6(recvfrom, u, buf, 2000, 0, 0, 0);
    CALL6(recvfrom, raw, buf, 2000, 0, 0, 0);
    i64 fd = CALL(accept4, l, 0, 0, SOCK_NONBLOCK);
    if (fd >= 0) {
      CALL6(recvfrom, fd, buf, 2000, 0, 0, 0);
      CALL6(sendto, fd, buf, 100, MSG_NOSIGNAL, 0, 0);
      CALL(close, fd);
    }
  }
  CALL(close, u), CALL(close, l), CALL(close, raw);
  CHECK(net_mem_used() < net_mem_limit() / 8);
  arp(&f, 2); /* our address may have been told to belong to somebody else */
  arrive(&f);
  unsigned from = mark();
  ping4(&f, 100);
  arrive(&f);
  CHECK(await_frame(from, is_pong, &r) && is_sound(&r));
}

/* ---- DHCP: in a process of its own
 * --------------------------------------------------------------- */

static bool is_dhcp(const struct frame *f) { return is_udp(f) && get16(f->b + IP + 2) == 67; }

/* The server's answer of `type` to a client's message. */
static void dhcp_reply(struct frame *f, const struct frame *to, u8 type) {
  static const u8 options[] = {54,  4, 10, 0, 9,  2, 51, 4, 0, 0, 14, 16, 1, 4, 255, 255,
                               255, 0, 3,  4, 10, 0, 9,  2, 6, 4, 10, 0,  9, 3, 255};
  u8 m[300] = {0};
  memcpy(m, to->b + IP + 8, 236 + 4);
  m[0] = 2;
  memcpy(m + 16, our_ip, 4);
  m[240] = 53, m[241] = 1, m[242] = type;
  memcpy(m + 243, options, sizeof options);
  udp4(f, 67, 68, m, sizeof m);
}

static void dhcp(void) {
  struct frame f, r;
  unsigned from = 0;
  char text[100];
  for (u8 type = 2; type <= 5; type += 3) { /* OFFER, ACK */
    bool got = false;
    for (int k = 0; k < 5 && !got; k++)
      got = await_frame(from, is_dhcp, &r);
    CHECK(got && is_sound(&r));
    from = mark();
    dhcp_reply(&f, &r, type);
    arrive(&f);
  }
  CHECK(!net_is_configuring());
  CHECK(net_resolv_conf(text, sizeof text) == strlen("nameserver 10.0.9.3\n"));
  CHECK(strcmp(text, "nameserver 10.0.9.3\n") == 0);
  answers();
}

int main(int argc, char **argv) {
  bool by_dhcp = argc > 1 && strcmp(argv[1], "dhcp") == 0;
  net_env_sent = on_sent;
  net_env_boot(by_dhcp
                   ? "quiet ip=dhcp ip6=off hostname=tester"
                   : "ip=10.0.9.1/24,gw=10.0.9.2,dns=10.0.9.2 ip6=fd00:9::1/64,gw=fe80::2 -- ip=x");
  buf = env_user_memory(4096);
  addr = env_user_memory(256);
  if (by_dhcp) {
    TEST(dhcp);
    return check_summary("net_wire dhcp");
  }
  TEST(answers);
  TEST(udp);
  TEST(tcp);
  TEST(fuzz);
  return check_summary("net_wire");
}
