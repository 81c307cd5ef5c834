/* SPDX-License-Identifier: MIT */
/*
 * Sockets with several threads: bytes arrive once and in order whatever the sizes, listeners shared
 * by many lose no connection, sleepers wake, and nothing is left behind, also when memory runs out.
 */
#include "kernel/test/fake/check.h"
#include "plat/pc/net/stack.h"
#include "plat/pc/net/test/net_env.h"
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/time.h>

#define CHUNK 100000
#define STREAM_BYTES (6u << 20)
#define CLIENTS 8
#define ACCEPTERS 4
#define ROUNDS 60
#define MSEC 1000000u

struct user { /* of one thread */
  u8 buf[CHUNK];
  struct sockaddr_in6 addr;
  u32 len;
  i32 value[4];
};

static struct user *user(void) {
  static __thread struct user *u;
  if (!u)
    u = env_user_memory(sizeof *u);
  return u;
}

static i64 fd_option(int fd, int level, int name, i32 v) {
  user()->value[0] = v;
  return CALL(setsockopt, fd, level, name, user()->value, 4);
}

static u16 port_of(int fd) {
  struct user *u = user();
  u->len = sizeof u->addr;
  CALL(getsockname, fd, &u->addr, &u->len);
  return u->addr.sin6_port;
}

static int listener(int backlog) {
  int fd = (int)CALL(socket, AF_INET6, SOCK_STREAM, 0);
  struct user *u = user();
  memset(&u->addr, 0, sizeof u->addr);
  u->addr.sin6_family = AF_INET6;
  CHECK(CALL(bind, fd, &u->addr, sizeof u->addr) == 0);
  CHECK(CALL(listen, fd, backlog) == 0);
  return fd;
}

static i64 connect_to(int fd, u16 port) {
  struct user *u = user();
  memset(&u->addr, 0, sizeof u->addr);
  u->addr.sin6_family = AF_INET6;
  u->addr.sin6_addr = in6addr_loopback;
  u->addr.sin6_port = port;
  return CALL(connect, fd, &u->addr, sizeof u->addr);
}

static int client(u16 port) {
  int fd = (int)CALL(socket, AF_INET6, SOCK_STREAM, 0);
  i64 err = connect_to(fd, port);
  if (err)
    printf("  connect: %ld\n", (long)err);
  CHECK(err == 0);
  return fd;
}

static void ends(int end[2]) {
  int l = listener(1);
  end[0] = client(port_of(l));
  end[1] = (int)CALL(accept, l, 0, 0);
  CHECK(end[1] >= 0);
  CALL(close, l);
}

/* ---- a stream -------------------------------------------------------------------------------- */

static u8 byte_at(u32 pos) { return (u8)(pos * 2654435761u >> 24); }

struct stream {
  int fd;
  u32 seed, sum;
};

static u32 rnd(u32 *s, u32 n) {
  *s = *s * 1664525 + 1013904223;
  return (*s >> 8) % n;
}

static void send_stream(void *arg) {
  struct stream *s = arg;
  u8 *buf = user()->buf;
  u32 pos = 0;
  while (pos < STREAM_BYTES) {
    u32 n = 1 + rnd(&s->seed, rnd(&s->seed, 2) ? 700 : CHUNK);
    n = n > STREAM_BYTES - pos ? STREAM_BYTES - pos : n;
    for (u32 k = 0; k < n; k++)
      buf[k] = byte_at(pos + k);
    i64 sent = CALL6(sendto, s->fd, buf, n, MSG_NOSIGNAL, 0, 0);
    if (sent <= 0)
      break;
    pos += (u32)sent;
  }
  s->sum = pos;
  CALL(shutdown, s->fd, SHUT_WR);
}

static void recv_stream(void *arg) {
  struct stream *s = arg;
  u8 *buf = user()->buf;
  u32 pos = 0, wrong = 0;
  i64 n;
  while ((n = CALL6(recvfrom, s->fd, buf, 1 + rnd(&s->seed, CHUNK), 0, 0, 0)) > 0)
    for (i64 k = 0; k < n; k++)
      wrong += buf[k] != byte_at(pos++);
  s->sum = wrong || n < 0 ? 0 : pos;
}

static void run_streams(i32 rcvbuf, i32 sndbuf) {
  int end[2];
  ends(end);
  if (rcvbuf)
    fd_option(end[1], SOL_SOCKET, SO_RCVBUF, rcvbuf);
  if (sndbuf)
    fd_option(end[0], SOL_SOCKET, SO_SNDBUF, sndbuf);
  struct stream s[4] = {{end[0], 1, 0}, {end[1], 2, 0}, {end[1], 3, 0}, {end[0], 4, 0}};
  struct net_thread *t[4];
  for (int k = 0; k < 4; k++)
    t[k] = net_env_thread(k % 2 ? recv_stream : send_stream, &s[k]);
  for (int k = 0; k < 4; k++) {
    net_env_join(t[k]);
    CHECK(s[k].sum == STREAM_BYTES);
  }
  CALL(close, end[0]);
  CALL(close, end[1]);
}

static void both_ways(void) { run_streams(0, 0); }
static void small_buffers(void) { run_streams(2048, 4096); }

/* ---- accepting ------------------------------------------------------------------------------- */

static int shared_listener;
static u32 served;

static void serve(void *arg) {
  (void)arg;
  u8 *buf = user()->buf;
  i64 fd;
  while ((fd = CALL(accept, shared_listener, 0, 0)) >= 0) {
    i64 n = CALL6(recvfrom, fd, buf, 100, 0, 0, 0);
    if (n > 0 && CALL6(sendto, fd, buf, n, MSG_NOSIGNAL, 0, 0) == n)
      __atomic_add_fetch(&served, 1, __ATOMIC_RELAXED);
    CALL(close, fd);
  }
}

static void ask(void *arg) {
  u16 port = *(u16 *)arg;
  u8 *buf = user()->buf;
  for (int k = 0; k < ROUNDS; k++) {
    int fd = client(port);
    memcpy(buf, "ping", 4);
    CHECK(CALL6(sendto, fd, buf, 4, MSG_NOSIGNAL, 0, 0) == 4);
    CHECK(CALL6(recvfrom, fd, buf, 100, MSG_WAITALL, 0, 0) == 4);
    CALL(close, fd);
  }
}

static void many_accept(void) {
  struct net_thread *a[ACCEPTERS], *c[CLIENTS];
  shared_listener = listener(3); /* shorter than the crowd: some SYNs must come again */
  u16 port = port_of(shared_listener);
  served = 0;
  for (int k = 0; k < ACCEPTERS; k++)
    a[k] = net_env_thread(serve, NULL);
  for (int k = 0; k < CLIENTS; k++)
    c[k] = net_env_thread(ask, &port);
  for (int k = 0; k < CLIENTS; k++)
    net_env_join(c[k]);
  CALL(shutdown, shared_listener, SHUT_RD); /* wakes the accepters */
  for (int k = 0; k < ACCEPTERS; k++)
    net_env_join(a[k]);
  CHECK(served == CLIENTS * ROUNDS);
  CALL(close, shared_listener);
}

/* ---- sleeping -------------------------------------------------------------------------------- */

static void close_later(void *arg) {
  net_env_sleep_ms(50);
  CALL(close, *(int *)arg);
}

static void sleepers_wake(void) {
  int end[2];
  ends(end);
  struct net_thread *t = net_env_thread(close_later, &end[1]);
  CHECK(CALL6(recvfrom, end[0], user()->buf, 10, 0, 0, 0) == 0);
  net_env_join(t);
  CALL(close, end[0]);
  ends(end);
  t = net_env_thread(close_later, &end[1]);
  i64 n = 0; /* fills the buffers, then sleeps until the reset */
  for (int k = 0; k < 100 && n >= 0; k++)
    n = CALL6(sendto, end[0], user()->buf, CHUNK, MSG_NOSIGNAL, 0, 0);
  CHECK(n == -ECONNRESET || n == -EPIPE);
  net_env_join(t);
  CALL(close, end[0]);
}

static void time_outs(void) {
  int end[2];
  ends(end);
  struct timeval tv = {0, 30000};
  memcpy(user()->value, &tv, sizeof tv);
  CHECK(CALL(setsockopt, end[0], SOL_SOCKET, SO_RCVTIMEO, user()->value, sizeof tv) == 0);
  u64 t0 = plat_now();
  CHECK(CALL6(recvfrom, end[0], user()->buf, 10, 0, 0, 0) == -EAGAIN);
  CHECK(plat_now() - t0 >= 30 * MSEC);
  CALL(close, end[0]);
  CALL(close, end[1]);
}

/* A full sender is told once there is room again, with edges too. */
static void room_again(void) {
  int end[2], e = (int)CALL(epoll_create1, 0);
  struct user *u = user();
  struct epoll_event *ev = (void *)u->buf;
  i64 n, under_way = 0;
  ends(end);
  *ev = (struct epoll_event){.events = EPOLLOUT | EPOLLET};
  CHECK(CALL(epoll_ctl, e, EPOLL_CTL_ADD, end[0], ev) == 0);
  CHECK(CALL(epoll_wait, e, ev, 4, 0) == 1);
  while ((n = CALL6(sendto, end[0], u->buf, CHUNK, MSG_DONTWAIT, 0, 0)) > 0)
    under_way += n;
  CHECK(CALL(epoll_wait, e, ev, 4, 0) == 0);
  for (n = 1; under_way > 0 && n > 0; under_way -= n)
    n = CALL6(recvfrom, end[1], u->buf, CHUNK, 0, 0, 0);
  CHECK(under_way == 0);
  do /* until the sender has heard of it */
    net_env_sleep_ms(1);
  while (CALL(ioctl, end[0], TIOCOUTQ, u->value) == 0 && *(u32 *)u->value != 0);
  CHECK(CALL(epoll_wait, e, ev, 4, 0) == 1);
  CHECK(ev->events == EPOLLOUT);
  CHECK(CALL(epoll_wait, e, ev, 4, 0) == 0);
  CALL(close, e), CALL(close, end[0]), CALL(close, end[1]);
}

/* ---- the rest -------------------------------------------------------------------------------- */

static void bad_buffers(void) {
  int end[2];
  ends(end);
  u8 *buf = user()->buf;
  CHECK(CALL6(sendto, end[0], buf, 100, 0, 0, 0) == 100);
  env_copy_fails = true;
  CHECK(CALL6(sendto, end[0], buf, 100, 0, 0, 0) == -EFAULT);
  CHECK(CALL6(recvfrom, end[1], buf, 100, 0, 0, 0) == -EFAULT);
  env_copy_fails = false;
  CHECK(CALL6(recvfrom, end[1], buf, 200, 0, 0, 0) == 100);
  CALL(close, end[0]), CALL(close, end[1]);
}

static void nothing_left(void) {
  for (int k = 0; k < 3000 && net_mem_used() > 4096; k++)
    net_env_sleep_ms(100); /* TIME_WAIT */
  if (net_mem_used() > 4096)
    printf("  %lu bytes in use\n", (unsigned long)net_mem_used());
  CHECK(net_mem_used() <= 4096);
}

/* Every n-th allocation fails: errors are fine, wrong bytes and crashes are not. */
static void without_memory(void) {
  for (unsigned every = 2; every < 60; every += 3) {
    net_env_fail_every = every;
    int l = (int)CALL(socket, AF_INET6, SOCK_STREAM | SOCK_NONBLOCK, 0);
    int c = (int)CALL(socket, AF_INET6, SOCK_STREAM | SOCK_NONBLOCK, 0);
    struct user *u = user();
    memset(&u->addr, 0, sizeof u->addr);
    u->addr.sin6_family = AF_INET6;
    CALL(bind, l, &u->addr, sizeof u->addr);
    CALL(listen, l, 5);
    connect_to(c, port_of(l));
    int a = (int)CALL(accept4, l, 0, 0, SOCK_NONBLOCK);
    u32 out = 0, in = 0, wrong = 0;
    for (int k = 0; k < 50; k++) {
      u32 n = (u32)k * 500 + 1;
      for (u32 b = 0; b < n; b++)
        u->buf[b] = byte_at(out + b);
      i64 sent = CALL6(sendto, c, u->buf, n, MSG_NOSIGNAL, 0, 0);
      out += sent > 0 ? (u32)sent : 0;
      i64 got = CALL6(recvfrom, a, u->buf, CHUNK, 0, 0, 0);
      for (i64 b = 0; b < got; b++)
        wrong += u->buf[b] != byte_at(in++);
    }
    CHECK(wrong == 0);
    CHECK(in <= out);
    net_env_fail_every = 0;
    CALL(close, a), CALL(close, c), CALL(close, l);
  }
}

int main(void) {
  net_env_boot("ip=off ip6=off");
  TEST(both_ways);
  TEST(small_buffers);
  TEST(many_accept);
  TEST(sleepers_wake);
  TEST(time_outs);
  TEST(room_again);
  TEST(bad_buffers);
  TEST(nothing_left);
  TEST(without_memory);
  TEST(nothing_left);
  return check_summary("net_sock");
}
