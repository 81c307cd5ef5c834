/* SPDX-License-Identifier: MIT */
/*
 * The same calls on our sockets and on the host's, over either's loopback: results, addresses,
 * options and readiness must be the same. First a table of what programs rely on, then random calls
 * on connected pairs.
 */
#include "kernel/test/fake/check.h"
#include "plat/pc/net/test/net_env.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define BUF 65536

struct pair {
  int ours, theirs;
};

static u8 *buf; /* user memory */
static struct sockaddr_in6 *addr;
static u32 *len;
static i32 *value;
static u8 host_buf[BUF];
static char where[200];
static u64 state = 7;

static u32 rnd(u32 n) {
  state = state * 6364136223846793005ULL + 1442695040888963407ULL;
  return (u32)(state >> 33) % n;
}

static i64 host(i64 result) { return result < 0 ? -errno : result; }

static i64 same(const char *what, i64 ours, i64 theirs) {
  if (ours != theirs) {
    printf("  %s: %s: uFork %ld, Linux %ld\n", where, what, (long)ours, (long)theirs);
    check_bad++;
  }
  return ours;
}

#define WHERE(...) snprintf(where, sizeof where, __VA_ARGS__)

/* ---- calls on both --------------------------------------------------------------------------- */

static struct pair b_socket(int domain, int type) {
  return (struct pair){(int)CALL(socket, domain, type, 0), socket(domain, type, 0)};
}

static void b_close(struct pair p) { same("close", CALL(close, p.ours), host(close(p.theirs))); }

struct name {
  struct sockaddr_in6 a;
  u32 len;
};

static struct name name4(const char *ip, int port) {
  struct name n = {.len = sizeof(struct sockaddr_in)};
  struct sockaddr_in *in = (struct sockaddr_in *)&n.a;
  in->sin_family = AF_INET;
  in->sin_port = htons((u16)port);
  inet_pton(AF_INET, ip, &in->sin_addr);
  return n;
}

static struct name name6(const char *ip, int port) {
  struct name n = {.len = sizeof(struct sockaddr_in6)};
  n.a.sin6_family = AF_INET6;
  n.a.sin6_port = htons((u16)port);
  inet_pton(AF_INET6, ip, &n.a.sin6_addr);
  return n;
}

static i64 ours_bind(int fd, struct name n) {
  memcpy(addr, &n.a, sizeof n.a);
  return CALL(bind, fd, addr, n.len);
}
static i64 ours_connect(int fd, struct name n) {
  memcpy(addr, &n.a, sizeof n.a);
  return CALL(connect, fd, addr, n.len);
}

static i64 b_bind(struct pair p, struct name n) {
  return same("bind", ours_bind(p.ours, n), host(bind(p.theirs, (void *)&n.a, n.len)));
}

/* Names of both ends, each with its own ports. */
static struct name ours_name(int fd, bool peer) {
  struct name n;
  *len = sizeof n.a;
  memset(addr, 0, sizeof *addr);
  i64 err = peer ? CALL(getpeername, fd, addr, len) : CALL(getsockname, fd, addr, len);
  memcpy(&n.a, addr, sizeof n.a);
  n.len = err < 0 ? (u32)err : *len;
  return n;
}
static struct name host_name(int fd, bool peer) {
  struct name n;
  socklen_t l = sizeof n.a;
  memset(&n.a, 0, sizeof n.a);
  int err = peer ? getpeername(fd, (void *)&n.a, &l) : getsockname(fd, (void *)&n.a, &l);
  n.len = err ? (u32)-errno : l;
  return n;
}

/* The same but for the port, which is or is not zero in both. */
static void same_name(const char *what, struct name a, struct name b) {
  same(what, (i32)a.len, (i32)b.len);
  same("has port", a.a.sin6_port != 0, b.a.sin6_port != 0);
  a.a.sin6_port = b.a.sin6_port = 0;
  same("address", memcmp(&a.a, &b.a, sizeof a.a) == 0, 1);
}
static void b_names(struct pair p) {
  same_name("getsockname", ours_name(p.ours, false), host_name(p.theirs, false));
  same_name("getpeername", ours_name(p.ours, true), host_name(p.theirs, true));
}

/* Connects to a listener, whose ports differ; ip is of the target. */
static i64 b_connect_to(struct pair p, struct pair l, struct name n) {
  struct name a = n, b = n;
  a.a.sin6_port = ours_name(l.ours, false).a.sin6_port;
  b.a.sin6_port = host_name(l.theirs, false).a.sin6_port;
  return same("connect", ours_connect(p.ours, a), host(connect(p.theirs, (void *)&b.a, b.len)));
}

static struct pair b_accept(struct pair l) {
  struct pair p = {(int)CALL(accept4, l.ours, 0, 0, O_NONBLOCK),
                   (int)host(syscall(SYS_accept4, l.theirs, NULL, NULL, O_NONBLOCK))};
  same("accept", p.ours < 0 ? p.ours : 0, p.theirs < 0 ? p.theirs : 0);
  return p;
}

static i64 b_send(struct pair p, size_t n, int flags) {
  memset(buf, 'x', n);
  memset(host_buf, 'x', n);
  return same("send", CALL6(sendto, p.ours, buf, n, flags | MSG_NOSIGNAL, 0, 0),
              host(send(p.theirs, host_buf, n, flags | MSG_NOSIGNAL)));
}

static i64 b_recv(struct pair p, size_t n, int flags) {
  return same("recv", CALL6(recvfrom, p.ours, buf, n, flags, 0, 0),
              host(recv(p.theirs, host_buf, n, flags)));
}

static i64 b_get(struct pair p, int level, int name) {
  i32 v = 0;
  socklen_t l = sizeof v;
  *len = sizeof v;
  *value = 0;
  i64 a = CALL(getsockopt, p.ours, level, name, value, len);
  i64 b = host(getsockopt(p.theirs, level, name, &v, &l));
  same("getsockopt", a, b);
  return same("option", *value, v);
}

static void b_set(struct pair p, int level, int name, i32 v) {
  *value = v;
  same("setsockopt", CALL(setsockopt, p.ours, level, name, value, sizeof v),
       host(setsockopt(p.theirs, level, name, &v, sizeof v)));
}

static u32 b_poll(struct pair p) {
  struct pollfd *a = (void *)buf, b = {p.theirs, -1, 0};
  *a = (struct pollfd){p.ours, -1, 0};
  same("poll", CALL(poll, a, 1, 0), host(poll(&b, 1, 0)));
  /* Out-of-band and priority bands are Linux's own. */
  same("bits", a->revents & ~(POLLRDBAND | POLLWRBAND), b.revents & ~(POLLRDBAND | POLLWRBAND));
  return (u32)a->revents;
}

static void b_shutdown(struct pair p, int how) {
  same("shutdown", CALL(shutdown, p.ours, how), host(shutdown(p.theirs, how)));
}

static void b_fionread(struct pair p) {
  int v = 0;
  *value = 0;
  same("FIONREAD", CALL(ioctl, p.ours, FIONREAD, value), host(ioctl(p.theirs, FIONREAD, &v)));
  same("readable", *value, v);
}

static struct pair b_listener(struct name n, int backlog) {
  struct pair l = b_socket(n.a.sin6_family, SOCK_STREAM | SOCK_NONBLOCK);
  b_bind(l, n);
  same("listen", CALL(listen, l.ours, backlog), host(listen(l.theirs, backlog)));
  return l;
}

/* A connected pair of ends over loopback. */
static void connected(struct pair end[2], struct name n) {
  struct pair l = b_listener(n, 10);
  end[0] = b_socket(n.a.sin6_family, SOCK_STREAM);
  b_connect_to(end[0], l, n);
  end[1] = b_accept(l);
  b_close(l);
  for (int k = 0; k < 2; k++) {
    *value = 1;
    CALL(ioctl, end[k].ours, FIONBIO, value);
    int one = 1;
    ioctl(end[k].theirs, FIONBIO, &one);
    b_set(end[k], IPPROTO_TCP, TCP_NODELAY, 1);
  }
}

/* ---- the table ------------------------------------------------------------------------------- */

static void fresh_stream(void) {
  struct pair p = b_socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK);
  WHERE("fresh stream");
  b_poll(p);
  b_names(p);
  b_recv(p, 1, 0);
  b_send(p, 1, 0);
  b_shutdown(p, SHUT_RDWR);
  b_get(p, SOL_SOCKET, SO_ERROR);
  b_get(p, SOL_SOCKET, SO_TYPE);
  b_get(p, SOL_SOCKET, SO_DOMAIN);
  b_get(p, SOL_SOCKET, SO_PROTOCOL);
  b_get(p, SOL_SOCKET, SO_ACCEPTCONN);
  b_get(p, SOL_SOCKET, SO_KEEPALIVE);
  b_get(p, IPPROTO_TCP, TCP_KEEPIDLE);
  b_get(p, IPPROTO_TCP, TCP_KEEPINTVL);
  b_get(p, IPPROTO_TCP, TCP_KEEPCNT);
  b_get(p, IPPROTO_IP, IP_TOS);
  b_set(p, IPPROTO_TCP, TCP_KEEPIDLE, 0);
  b_set(p, IPPROTO_TCP, TCP_KEEPIDLE, 40000);
  b_set(p, IPPROTO_TCP, TCP_KEEPIDLE, 100);
  b_get(p, IPPROTO_TCP, TCP_KEEPIDLE);
  b_set(p, IPPROTO_TCP, 999, 1);
  b_set(p, 999, 1, 1);
  b_set(p, IPPROTO_IP, IP_TTL, 256);
  b_set(p, IPPROTO_IP, IP_TTL, 9);
  b_get(p, IPPROTO_IP, IP_TTL);
  struct pair a = b_accept(p);
  CHECK(a.ours == -EINVAL);
  b_close(p);
}

static void bind_errors(void) {
  struct pair p = b_socket(AF_INET, SOCK_STREAM), q = b_socket(AF_INET, SOCK_STREAM);
  struct name n = name4("127.0.0.1", 0);
  WHERE("bind errors");
  n.len = 8;
  b_bind(p, n);
  b_bind(p, name6("::1", 0));
  b_bind(p, name4("192.0.2.77", 0));
  b_bind(p, name4("127.0.0.1", 0));
  b_bind(p, name4("127.0.0.1", 0)); /* again */
  b_names(p);
  struct name a = ours_name(p.ours, false), b = host_name(p.theirs, false);
  same("taken", ours_bind(q.ours, a), host(bind(q.theirs, (void *)&b.a, b.len)));
  b_close(p);
  same("free", ours_bind(q.ours, a), host(bind(q.theirs, (void *)&b.a, b.len)));
  b_close(q);
}

static void v6_names(void) {
  static const char *const ips[] = {"::1", "::", "::ffff:127.0.0.1"};
  for (unsigned k = 0; k < ARRAY_LEN(ips); k++) {
    WHERE("IPv6 %s", ips[k]);
    struct pair l = b_listener(name6(ips[k], 0), 5);
    struct pair c = b_socket(AF_INET6, SOCK_STREAM);
    b_names(l);
    b_connect_to(c, l, name6(k == 2 ? ips[k] : "::1", 0));
    struct pair a = b_accept(l);
    b_names(c);
    b_names(a);
    b_close(a), b_close(c), b_close(l);
  }
}

static void dual_stack(void) {
  WHERE("dual stack");
  struct pair l = b_listener(name6("::", 0), 5), c = b_socket(AF_INET, SOCK_STREAM);
  b_connect_to(c, l, name4("127.0.0.1", 0));
  struct pair a = b_accept(l);
  b_names(c);
  b_names(a);
  b_close(a), b_close(c), b_close(l);
  WHERE("IPv6 only");
  l = b_socket(AF_INET6, SOCK_STREAM);
  b_set(l, IPPROTO_IPV6, IPV6_V6ONLY, 1);
  b_get(l, IPPROTO_IPV6, IPV6_V6ONLY);
  b_bind(l, name6("::", 0));
  b_set(l, IPPROTO_IPV6, IPV6_V6ONLY, 0);
  same("listen", CALL(listen, l.ours, 5), host(listen(l.theirs, 5)));
  c = b_socket(AF_INET, SOCK_STREAM);
  CHECK(b_connect_to(c, l, name4("127.0.0.1", 0)) == -ECONNREFUSED);
  b_close(c), b_close(l);
}

static void refused(void) {
  struct pair l = b_listener(name4("127.0.0.1", 0), 5), c = b_socket(AF_INET, SOCK_STREAM);
  struct name a = ours_name(l.ours, false), b = host_name(l.theirs, false);
  b_close(l);
  WHERE("refused, blocking");
  same("connect", ours_connect(c.ours, a), host(connect(c.theirs, (void *)&b.a, b.len)));
  b_poll(c);
  b_names(c);
  b_close(c);
  WHERE("refused, non-blocking");
  c = b_socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK);
  same("connect", ours_connect(c.ours, a), host(connect(c.theirs, (void *)&b.a, b.len)));
  b_poll(c);
  CHECK(b_get(c, SOL_SOCKET, SO_ERROR) == ECONNREFUSED);
  b_poll(c);
  b_recv(c, 1, 0);
  b_send(c, 1, 0);
  same("again", ours_connect(c.ours, a), host(connect(c.theirs, (void *)&b.a, b.len)));
  b_close(c);
}

static void connect_later(void) {
  WHERE("non-blocking connect");
  struct pair l = b_listener(name4("127.0.0.1", 0), 5);
  struct pair c = b_socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK);
  b_poll(l);
  CHECK(b_connect_to(c, l, name4("127.0.0.1", 0)) == -EINPROGRESS);
  b_poll(c);
  b_poll(l);
  b_get(c, SOL_SOCKET, SO_ERROR);
  CHECK(b_connect_to(c, l, name4("127.0.0.1", 0)) == 0);
  CHECK(b_connect_to(c, l, name4("127.0.0.1", 0)) == -EISCONN);
  b_get(l, SOL_SOCKET, SO_ACCEPTCONN);
  b_send(l, 1, 0);
  b_recv(l, 1, 0);
  struct pair a = b_accept(l);
  b_poll(l);
  b_names(a);
  b_close(a), b_close(c), b_close(l);
}

static void ends(void) {
  static const int how[] = {SHUT_RD, SHUT_WR, SHUT_RDWR};
  for (unsigned k = 0; k < ARRAY_LEN(how); k++) {
    struct pair e[2];
    WHERE("shutdown %d", how[k]);
    connected(e, name4("127.0.0.1", 0));
    b_send(e[1], 100, 0);
    b_shutdown(e[0], how[k]);
    b_poll(e[0]), b_poll(e[1]);
    b_recv(e[0], 30, 0);
    b_recv(e[0], 100, 0);
    b_recv(e[0], 100, 0);
    b_recv(e[1], 100, 0);
    b_send(e[0], 1, 0);
    b_poll(e[0]), b_poll(e[1]);
    b_shutdown(e[1], SHUT_WR);
    b_poll(e[0]), b_poll(e[1]);
    b_recv(e[0], 100, 0);
    b_close(e[0]);
    b_poll(e[1]);
    b_close(e[1]);
  }
}

static void resets(void) {
  struct pair e[2];
  struct linger l = {1, 0};
  WHERE("reset by linger 0");
  connected(e, name4("127.0.0.1", 0));
  memcpy(value, &l, sizeof l);
  same("linger", CALL(setsockopt, e[0].ours, SOL_SOCKET, SO_LINGER, value, sizeof l),
       host(setsockopt(e[0].theirs, SOL_SOCKET, SO_LINGER, &l, sizeof l)));
  b_send(e[0], 10, 0);
  b_close(e[0]);
  b_poll(e[1]);
  b_names(e[1]);
  b_recv(e[1], 10, 0);
  b_recv(e[1], 10, 0);
  b_recv(e[1], 10, 0);
  b_send(e[1], 10, 0);
  b_poll(e[1]);
  b_shutdown(e[1], SHUT_WR);
  b_close(e[1]);
  WHERE("reset by unread data");
  connected(e, name4("127.0.0.1", 0));
  b_send(e[1], 10, 0);
  b_close(e[0]);
  b_poll(e[1]);
  b_send(e[1], 10, 0);
  b_send(e[1], 10, 0);
  b_recv(e[1], 10, 0);
  b_close(e[1]);
  WHERE("data to the closed");
  connected(e, name4("127.0.0.1", 0));
  b_close(e[0]);
  b_poll(e[1]);
  b_send(e[1], 10, 0);
  b_poll(e[1]);
  b_send(e[1], 10, 0);
  b_recv(e[1], 10, 0);
  b_close(e[1]);
}

static void stop_listening(void) {
  WHERE("shutdown of a listener");
  struct pair l = b_listener(name4("127.0.0.1", 0), 5), c = b_socket(AF_INET, SOCK_STREAM);
  b_connect_to(c, l, name4("127.0.0.1", 0));
  b_shutdown(l, SHUT_RD);
  struct pair a = b_accept(l);
  CHECK(a.ours == -EINVAL);
  b_poll(c);
  b_recv(c, 1, 0);
  b_close(c), b_close(l);
}

static void peeking(void) {
  struct pair e[2];
  WHERE("peek");
  connected(e, name6("::1", 0));
  b_send(e[0], 1000, 0);
  b_fionread(e[1]);
  b_recv(e[1], 300, MSG_PEEK);
  b_recv(e[1], 300, MSG_TRUNC);
  b_fionread(e[1]);
  b_recv(e[1], 1000, MSG_WAITALL);
  b_recv(e[1], 1, MSG_PEEK);
  b_recv(e[1], 0, 0);
  b_recv(e[1], 1, MSG_OOB);
  b_send(e[0], 0, 0);
  b_close(e[0]), b_close(e[1]);
}

/* ---- datagrams ------------------------------------------------------------------------------- */

static void datagrams(void) {
  struct pair a = b_socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK);
  struct pair b = b_socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK);
  WHERE("datagrams");
  b_poll(a);
  b_names(a);
  b_send(a, 1, 0);
  b_recv(a, 1, 0);
  b_bind(a, name4("127.0.0.1", 0));
  CHECK(b_connect_to(b, a, name4("127.0.0.1", 0)) == 0);
  b_names(b);
  b_send(b, 100, 0);
  b_send(b, 0, 0);
  b_send(b, 60000, 0);
  b_send(b, 65508, 0);
  b_poll(a);
  b_fionread(a);
  b_recv(a, 10, MSG_PEEK | MSG_TRUNC);
  b_recv(a, 10, 0);
  b_recv(a, 10, 0);
  b_recv(a, 65536, 0);
  b_recv(a, 10, 0);
  b_shutdown(a, SHUT_RD);
  b_close(a);
  b_send(b, 1, 0);
  WHERE("port unreachable");
  b_poll(b);
  b_recv(b, 1, 0);
  b_recv(b, 1, 0);
  b_send(b, 1, 0);
  b_send(b, 1, 0);
  b_get(b, SOL_SOCKET, SO_ERROR);
  b_shutdown(b, SHUT_RDWR);
  b_poll(b);
  b_send(b, 1, 0);
  b_close(b);
}

static void datagrams6(void) {
  struct pair a = b_socket(AF_INET6, SOCK_DGRAM | SOCK_NONBLOCK);
  struct pair b = b_socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK);
  WHERE("dual datagrams");
  b_bind(a, name6("::", 0));
  b_connect_to(b, a, name4("127.0.0.1", 0));
  b_send(b, 5, 0);
  b_recv(a, 10, 0);
  b_connect_to(a, b, name6("::ffff:127.0.0.1", 0));
  b_names(a);
  b_send(a, 6, 0);
  b_recv(b, 10, 0);
  b_close(b);
  b = b_socket(AF_INET6, SOCK_DGRAM | SOCK_NONBLOCK);
  b_connect_to(b, a, name6("::1", 0));
  b_names(b);
  b_close(a), b_close(b);
}

/* ---- random calls on a connected pair -------------------------------------------------------- */

static struct pair ep;

static void compare_epoll(void) {
  struct epoll_event *ours = (void *)buf, theirs[4];
  i64 n = CALL(epoll_wait, ep.ours, ours, 4, 0), m = host(epoll_wait(ep.theirs, theirs, 4, 0));
  same("epoll", n, m);
  u32 a[2] = {0}, b[2] = {0};
  for (i64 k = 0; k < n; k++)
    a[ours[k].data.u64] = ours[k].events;
  for (i64 k = 0; k < m; k++)
    b[theirs[k].data.u64] = theirs[k].events;
  same("events of 0", a[0], b[0]);
  same("events of 1", a[1], b[1]);
}

static void watch(struct pair p, u64 data) {
  struct epoll_event *ours = (void *)buf;
  struct epoll_event ev = {.events = EPOLLIN | EPOLLRDHUP | (rnd(2) ? EPOLLET : 0)};
  ev.data.u64 = data;
  *ours = ev;
  same("epoll_ctl", CALL(epoll_ctl, ep.ours, EPOLL_CTL_ADD, p.ours, ours),
       host(epoll_ctl(ep.theirs, EPOLL_CTL_ADD, p.theirs, &ev)));
}

static void random_call(struct pair e[2], u32 in_flight[2], bool ended[2]) {
  u32 k = rnd(2), n = 1 + rnd(3000);
  struct pair p = e[k];
  switch (rnd(9)) {
  case 0:
  case 1:
    WHERE("send %u to %u", n, !k);
    if (in_flight[k] + n < 40000 && b_send(p, n, 0) > 0)
      in_flight[k] += n;
    break;
  case 2:
  case 3: {
    WHERE("recv %u at %u", n, k);
    i64 got = b_recv(p, n, rnd(4) ? 0 : MSG_PEEK);
    in_flight[!k] -= got > 0 && got <= in_flight[!k] ? 0 : 0;
    break;
  }
  case 4:
    WHERE("poll %u", k);
    b_poll(p);
    break;
  case 5:
    WHERE("FIONREAD %u", k);
    b_fionread(p);
    break;
  case 6:
    if (rnd(10) == 0 && !ended[k]) {
      WHERE("shutdown %u", k);
      b_shutdown(p, SHUT_WR);
      ended[k] = true;
    }
    break;
  default:
    WHERE("epoll");
    compare_epoll();
  }
}

static void random_calls(void) {
  for (int round = 0; round < 400 && check_bad < 10; round++) {
    struct pair e[2];
    u32 in_flight[2] = {0};
    bool ended[2] = {false};
    WHERE("round %d", round);
    connected(e, round % 2 ? name4("127.0.0.1", 0) : name6("::1", 0));
    ep = (struct pair){(int)CALL(epoll_create1, 0), epoll_create1(0)};
    watch(e[0], 0), watch(e[1], 1);
    for (int k = 0; k < 60 && check_bad < 10; k++)
      random_call(e, in_flight, ended);
    int first = (int)rnd(2);
    WHERE("close %d", first);
    b_close(e[first]);
    b_poll(e[!first]);
    compare_epoll();
    for (int k = 0; k < 3; k++)
      b_recv(e[!first], BUF, 0);
    b_close(e[!first]);
    b_close(ep);
  }
}

int main(void) {
  net_env_boot("");
  buf = env_user_memory(BUF * 2);
  addr = env_user_memory(256);
  len = env_user_memory(16);
  value = env_user_memory(16);
  TEST(fresh_stream);
  TEST(bind_errors);
  TEST(v6_names);
  TEST(dual_stack);
  TEST(refused);
  TEST(connect_later);
  TEST(ends);
  TEST(resets);
  TEST(stop_listening);
  TEST(peeking);
  TEST(datagrams);
  TEST(datagrams6);
  TEST(random_calls);
  return check_summary("net_linux");
}
