/* SPDX-License-Identifier: MIT */
/* test: timeout=120 */
/*
 * A server sends a header and at once a body, many times, so that a system may come to put both
 * into one segment; then it sends a header and something else happens. Whatever that is, the header
 * reaches the peer by itself: the server waits, computes, asks, forks, closes, corks.
 */
#include "check.h"
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdatomic.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>

#define ROUNDS 40 /* pairs before each surprise */
#define HEADER 200
#define BODY 600

static struct sockaddr_in address = {.sin_family = AF_INET};
static int listener, content;
static char block[HEADER + BODY];

/* What both sides share to tell each other without a call. */
static struct flags { atomic_int got, go; } * flags;

static void wait_flag(atomic_int *flag) {
  while (!atomic_load(flag))
    ;
  atomic_store(flag, 0);
}

static char letter(int i) { return (char)('a' + i % 26); }

/* ---- the peer -------------------------------------------------------------------------------- */

static void expect_bytes(int c, size_t from, size_t n) {
  char buf[sizeof block];
  EXPECT(recv(c, buf, n, MSG_WAITALL), n);
  for (size_t i = 0; i < n; i++)
    CHECK(buf[i] == letter((int)(from + i)));
}

static int dial(void) {
  int c = OK(socket(AF_INET, SOCK_STREAM, 0));
  OK(connect(c, (void *)&address, sizeof address));
  return c;
}

static void take_pairs(int c) {
  for (int i = 0; i < ROUNDS; i++) {
    EXPECT(write(c, "?", 1), 1);
    expect_bytes(c, 0, HEADER + BODY);
  }
  EXPECT(write(c, "!", 1), 1);
}

/* A header alone; the server may be doing anything but sending more. */
static void take_header(int c) {
  struct pollfd p = {c, POLLIN, 0};
  EXPECT(poll(&p, 1, 60000), 1);
  expect_bytes(c, 0, HEADER);
}

/* ---- the server ------------------------------------------------------------------------------ */

static void send_header(int s) { EXPECT(write(s, block, HEADER), HEADER); }

static void send_body(int s, int how) {
  off_t at = HEADER;
  struct iovec iov[2] = {{block + HEADER, 100}, {block + HEADER + 100, BODY - 100}};
  if (how == 0)
    EXPECT(sendfile(s, content, &at, BODY), BODY);
  else if (how == 1)
    EXPECT(writev(s, iov, 2), BODY);
  else
    EXPECT(send(s, block + HEADER, BODY, MSG_NOSIGNAL), BODY);
}

static void send_pairs(int s, int how) {
  char c;
  for (int i = 0; i < ROUNDS; i++) {
    EXPECT(read(s, &c, 1), 1);
    send_header(s);
    send_body(s, how);
  }
  EXPECT(read(s, &c, 1), 1);
  CHECK(c == '!');
}

/* ---- surprises: the server's side, and the peer's -------------------------------------------- */

static void wait_server(int s) {
  char c;
  send_header(s);
  EXPECT(read(s, &c, 1), 1);
}
static void wait_peer(int c) {
  take_header(c);
  EXPECT(write(c, "+", 1), 1);
}

/* The server makes no call until the peer has everything. */
static void compute_server(int s) {
  send_header(s);
  wait_flag(&flags->got);
}
static void compute_peer(int c) {
  take_header(c);
  atomic_store(&flags->got, 1);
}

/* ... and the peer never sleeps for it. */
static void asking_peer(int c) {
  char buf[HEADER];
  for (ssize_t n, sum = 0; sum<HEADER; sum += n> 0 ? n : 0) {
    n = recv(c, buf, sizeof buf, MSG_DONTWAIT);
    CHECK(n > 0 || (n < 0 && errno == EAGAIN));
  }
  atomic_store(&flags->got, 1);
}
static void polling_peer(int c) {
  struct pollfd p = {c, POLLIN, 0};
  while (OK(poll(&p, 1, 0)) == 0)
    ;
  take_header(c);
  atomic_store(&flags->got, 1);
}
static void counting_peer(int c) {
  int n = 0;
  while (n < HEADER)
    OK(ioctl(c, FIONREAD, &n));
  take_header(c);
  atomic_store(&flags->got, 1);
}

/* Calls that have nothing to do with any host: another process answers by a pipe. */
static void pipe_server(int s) {
  int there[2], back[2];
  char c;
  OK(pipe(there)), OK(pipe(back));
  pid_t child = OK(fork());
  if (child == 0) {
    EXPECT(read(there[0], &c, 1), 1);
    wait_flag(&flags->got);
    EXPECT(write(back[1], &c, 1), 1);
    _exit(0);
  }
  send_header(s);
  EXPECT(write(there[1], "x", 1), 1);
  EXPECT(read(back[0], &c, 1), 1);
  EXPECT_EXIT(child, 0);
  for (int i = 0; i < 2; i++)
    OK(close(there[i])), OK(close(back[i]));
}

/* Calls without end that never sleep. */
static void calling_server(int s) {
  send_header(s);
  while (!atomic_load(&flags->got))
    OK(fcntl(s, F_GETFD));
  atomic_store(&flags->got, 0);
}

/* Until the peer's host has acknowledged it; the peer does not read yet. */
static void queue_server(int s) {
  int n = 1;
  send_header(s);
  while (n > 0)
    OK(ioctl(s, TIOCOUTQ, &n));
  atomic_store(&flags->go, 1);
  wait_flag(&flags->got);
}
static void queue_peer(int c) {
  wait_flag(&flags->go);
  compute_peer(c);
}

/* The second has nothing to send. */
static void empty_server(int s) {
  off_t end = sizeof block;
  send_header(s);
  EXPECT(sendfile(s, content, &end, BODY), 0);
  wait_flag(&flags->got);
  send_header(s);
  EXPECT(send(s, block, 0, 0), 0);
  wait_flag(&flags->got);
}
static void empty_peer(int c) {
  compute_peer(c);
  compute_peer(c);
}

/* The second is to be held, says the server; the first is not. */
static void more_server(int s) {
  send_header(s);
  EXPECT(send(s, block + HEADER, BODY, MSG_MORE), BODY);
  wait_flag(&flags->got);
  EXPECT(send(s, block, 1, 0), 1);
}
static void more_peer(int c) {
  compute_peer(c);
  expect_bytes(c, HEADER, BODY);
  expect_bytes(c, 0, 1);
}

static int option(int s, int name) {
  int v = -1;
  socklen_t size = sizeof v;
  OK(getsockopt(s, IPPROTO_TCP, name, &v, &size));
  return v;
}

static void set_option(int s, int name, int v) {
  OK(setsockopt(s, IPPROTO_TCP, name, &v, sizeof v));
}

/* The server's own cork holds what comes after it and nothing before. */
static void cork_server(int s) {
  send_header(s);
  set_option(s, TCP_CORK, 1);
  wait_flag(&flags->got);
  EXPECT(option(s, TCP_CORK), 1);
  for (int i = 0; i < ROUNDS; i++)
    send_header(s), send_body(s, 0);
  EXPECT(option(s, TCP_CORK), 1);
  EXPECT(option(s, TCP_NODELAY), 0);
  set_option(s, TCP_CORK, 0);
  wait_flag(&flags->got);
  EXPECT(option(s, TCP_CORK), 0);
  send_header(s);
  set_option(s, TCP_NODELAY, 1);
  wait_flag(&flags->got);
  EXPECT(option(s, TCP_NODELAY), 1);
  EXPECT(option(s, TCP_CORK), 0);
}
static void cork_peer(int c) {
  compute_peer(c);
  for (int i = 0; i < ROUNDS; i++)
    expect_bytes(c, 0, HEADER + BODY);
  atomic_store(&flags->got, 1);
  compute_peer(c);
}

/* The child has the socket as well, and goes on. */
static void fork_server(int s) {
  send_header(s);
  pid_t child = OK(fork());
  if (child == 0) {
    wait_flag(&flags->got);
    send_body(s, 2);
    _exit(0);
  }
  wait_flag(&flags->go);
  EXPECT_EXIT(child, 0);
}
static void fork_peer(int c) {
  compute_peer(c);
  expect_bytes(c, HEADER, BODY);
  atomic_store(&flags->go, 1);
}

/* Not the end, since there is another descriptor. */
static void dup_server(int s) {
  int other = OK(dup(s));
  send_header(s);
  OK(close(s));
  wait_flag(&flags->got);
  send_body(other, 1);
  wait_flag(&flags->go);
  EXPECT(dup2(other, s), s);
  OK(close(other));
}

static void shutdown_server(int s) {
  send_header(s);
  OK(shutdown(s, SHUT_WR));
  wait_flag(&flags->got);
}
static void close_server(int s) {
  int dummy = OK(open("/dev/null", O_RDONLY));
  send_header(s);
  OK(close(s));
  wait_flag(&flags->got);
  OK(dup2(dummy, s));
  OK(close(dummy));
}
/* The end follows; later ones do not use this connection. */
static void end_peer(int c) {
  char b;
  take_header(c);
  EXPECT(read(c, &b, 1), 0);
  atomic_store(&flags->got, 1);
}

static const struct surprise {
  void (*server)(int s);
  void (*peer)(int c);
} surprises[] = {
    {wait_server, wait_peer},       {compute_server, compute_peer},  {compute_server, asking_peer},
    {compute_server, polling_peer}, {compute_server, counting_peer}, {pipe_server, compute_peer},
    {calling_server, compute_peer}, {queue_server, queue_peer},      {empty_server, empty_peer},
    {more_server, more_peer},       {cork_server, cork_peer},        {fork_server, fork_peer},
    {dup_server, fork_peer},        {shutdown_server, end_peer},     {close_server, end_peer},
};
#define SURPRISES (int)(sizeof surprises / sizeof *surprises)

static void listen_anew(void) {
  socklen_t size = sizeof address;
  if (listener > 0)
    OK(close(listener));
  listener = OK(socket(AF_INET, SOCK_STREAM, 0));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = 0;
  OK(bind(listener, (void *)&address, sizeof address));
  OK(getsockname(listener, (void *)&address, &size));
  OK(listen(listener, 16));
}

/* On a listener of its own, of which nothing is known that would arouse suspicion. */
static void surprised_by(const struct surprise *what, int how) {
  listen_anew();
  pid_t peer = OK(fork());
  if (peer == 0) {
    int c = dial();
    take_pairs(c);
    what->peer(c);
    _exit(0);
  }
  int s = OK(accept(listener, NULL, NULL));
  send_pairs(s, how);
  what->server(s);
  OK(close(s));
  EXPECT_EXIT(peer, 0);
}

/* A connection for each pair; then, on some, a header and a long wait. */
static void short_connections(void) {
  listen_anew();
  pid_t peer = OK(fork());
  if (peer == 0) {
    for (int i = 0; i < 10 * ROUNDS; i++) {
      int c = dial();
      EXPECT(write(c, "?", 1), 1);
      if (i % ROUNDS == ROUNDS - 1)
        wait_peer(c);
      else
        expect_bytes(c, 0, HEADER + BODY);
      OK(close(c));
    }
    _exit(0);
  }
  for (int i = 0; i < 10 * ROUNDS; i++) {
    char c;
    int s = OK(accept(listener, NULL, NULL));
    EXPECT(read(s, &c, 1), 1);
    if (i % ROUNDS == ROUNDS - 1)
      wait_server(s);
    else
      send_header(s), send_body(s, 0);
    OK(close(s));
  }
  EXPECT_EXIT(peer, 0);
}

int main(void) {
  flags = mmap(NULL, sizeof *flags, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  CHECK(flags != MAP_FAILED);
  for (size_t i = 0; i < sizeof block; i++)
    block[i] = letter((int)i);
  content = OK(open("pairs", O_RDWR | O_CREAT | O_TRUNC, 0600));
  EXPECT(write(content, block, sizeof block), sizeof block);
  for (int i = 0; i < SURPRISES; i++)
    surprised_by(&surprises[i], i % 3);
  short_connections();
  OK(unlink("pairs"));
  puts("ok");
  return 0;
}
