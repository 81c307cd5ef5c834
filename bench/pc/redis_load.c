/* SPDX-License-Identifier: MIT */
/*
 * redis_load PORT CLIENTS PIPELINE REQUESTS: SET, then GET of random keys on a Redis behind a
 * forwarded port, so many requests in flight on each connection. Connections are opened one by one
 * before anything is measured: QEMU's user-mode network drops some of those that come at once, and
 * redis-benchmark would then measure how long the host waits before it tries again. Prints
 * `METRIC UNIT VALUE` lines.
 */
#include "../measure.h"
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

enum { CLIENTS_MAX = 64, PIPELINE_MAX = 64, KEYS = 10000, REQUEST_MAX = 64 };

struct client {
  int fd;
  int waiting;   /* replies to come */
  int lines_due; /* of the reply that is being read; 0: a new one begins */
};

static struct client clients[CLIENTS_MAX];
static struct pollfd fds[CLIENTS_MAX];
static unsigned seed = 1;

static unsigned random_key(void) {
  seed = seed * 1103515245u + 12345u;
  return (seed >> 8) % KEYS;
}

static void send_all(int fd, const char *data, size_t n) {
  while (n > 0) {
    ssize_t done = write(fd, data, n);
    if (done <= 0)
      fail("write");
    data += done;
    n -= (size_t)done;
  }
}

static void ask(struct client *c, int count, int set) {
  char text[PIPELINE_MAX * REQUEST_MAX];
  size_t n = 0;
  for (int i = 0; i < count; i++)
    n += (size_t)snprintf(text + n, sizeof text - n,
                          set ? "*3\r\n$3\r\nSET\r\n$9\r\nkey:%05u\r\n$3\r\nxxx\r\n"
                              : "*2\r\n$3\r\nGET\r\n$9\r\nkey:%05u\r\n",
                          random_key());
  send_all(c->fd, text, n);
  c->waiting = count;
}

/* Takes what has come. A reply is one line, or two if it is a value: `$3`, then the value. */
static void take(struct client *c) {
  char text[4096];
  ssize_t n = read(c->fd, text, sizeof text);
  if (n <= 0)
    fail("the server closed a connection");
  for (ssize_t i = 0; i < n; i++) {
    if (c->lines_due == 0) {
      if (text[i] == '-' || !c->waiting)
        fail("wrong reply");
      c->lines_due = text[i] == '$' ? 2 : 1;
    } else if (text[i] == '-' && c->lines_due == 2) {
      c->lines_due = 1; /* `$-1`: there is no such key */
    } else if (text[i] == '\n' && --c->lines_due == 0) {
      c->waiting--;
    }
  }
}

/* Requests per second. */
static double measure(int n_clients, int pipeline, int requests, int set) {
  int left = requests, busy = n_clients;
  double start = now_us();
  for (int i = 0; i < n_clients; i++, left -= pipeline)
    ask(&clients[i], pipeline, set);
  while (busy > 0) {
    if (poll(fds, (nfds_t)n_clients, 60000) <= 0)
      fail("no replies");
    for (int i = 0; i < n_clients; i++) {
      if (!fds[i].revents)
        continue;
      take(&clients[i]);
      if (clients[i].waiting > 0)
        continue;
      if (left > 0) {
        ask(&clients[i], pipeline, set);
        left -= pipeline;
      } else {
        busy--;
      }
    }
  }
  return (requests - left) / (now_us() - start) * 1e6;
}

static void connect_all(int port, int n) {
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  for (int i = 0; i < n; i++) {
    int one = 1, fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to) != 0)
      fail("connect");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    clients[i].fd = fds[i].fd = fd;
    fds[i].events = POLLIN;
    ask(&clients[i], 1, 0); /* answered: the connection is there */
    while (clients[i].waiting > 0)
      take(&clients[i]);
  }
}

int main(int argc, char **argv) {
  int n = argc > 2 ? atoi(argv[2]) : 0, pipeline = argc > 3 ? atoi(argv[3]) : 0;
  if (argc != 5 || n < 1 || n > CLIENTS_MAX || pipeline < 1 || pipeline > PIPELINE_MAX)
    fail("usage: redis_load PORT CLIENTS PIPELINE REQUESTS");
  connect_all(atoi(argv[1]), n);
  measure(n, pipeline, 2000, 1); /* QEMU has translated the server's code then */
  report("set", "1/s", measure(n, pipeline, atoi(argv[4]), 1));
  report("get", "1/s", measure(n, pipeline, atoi(argv[4]), 0));
  return 0;
}
