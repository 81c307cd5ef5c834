// SPDX-License-Identifier: MIT
#include "conn.h"
#include "log.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define READ_SIZE 8192
#define OUT_HIGH 65536  /* with this much unsent no further request is looked at */
#define KEEP_ROOM 65536 /* larger buffers are not kept for the next request */
#define LINGER_MS 1000

struct listener {
  struct listener *next;
  struct source source; /* no descriptor: has stopped */
  struct timer pause;
  const struct conn_server *server;
  void *owner;
};

struct conn_settings conn_settings;
struct conn_counts conn_counts;
static struct listener *listeners;
static struct conn *conns;
static bool stopping;

/* ---- sending ------------------------------------------------------------------------------ */

/* The value of the Date header, made once a second. */
static const char *date(void) {
  static char text[30];
  static time_t made;
  time_t now = time(NULL);
  if (now != made) {
    time_http(text, now);
    made = now;
  }
  return text;
}

static void compose(struct conn *c, int status, const char *content_type, const char *headers,
                    const void *body, size_t size) {
  if (stopping)
    c->keepalive = false;
  buffer_format(&c->out, "HTTP/1.1 %d %s\r\nDate: %s\r\n", status, http_reason(status), date());
  if (status != 204)
    buffer_format(&c->out, "Content-Type: %s\r\nContent-Length: %zu\r\n", content_type, size);
  buffer_text(&c->out, headers);
  buffer_text(&c->out, c->keepalive ? "\r\n" : "Connection: close\r\n\r\n");
  if (status != 204 && !slice_is(c->in.data, c->head.method, "HEAD"))
    buffer_add(&c->out, body, size);
  if (c->out.failed)
    c->broken = true;
}

static void trim(struct buffer *b) {
  if (!b->size && b->room > KEEP_ROOM)
    buffer_free(b);
}

/* Sends what it can; true: all of it. */
static bool flush(struct conn *c) {
  while (c->out_done < c->out.size && !c->broken) {
    ssize_t n =
        send(c->source.fd, c->out.data + c->out_done, c->out.size - c->out_done, MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0 && errno == EAGAIN)
      return false;
    if (n < 0) {
      c->broken = true;
      return true;
    }
    c->out_done += (size_t)n;
  }
  c->out.size = c->out_done = 0;
  trim(&c->out);
  return true;
}

/* ---- its life ----------------------------------------------------------------------------- */

/* The timer is moved only to an earlier time; a later deadline is found out when it fires. */
static void expect_by(struct conn *c, int64_t ms) {
  c->deadline = loop_now() + ms * MS;
  if (!c->timer.place || c->timer.when > c->deadline)
    timer_set(&c->timer, c->deadline);
}

static void conn_close(struct conn *c) {
  if (c->prev)
    c->prev->next = c->next;
  else
    conns = c->next;
  if (c->next)
    c->next->prev = c->prev;
  timer_clear(&c->timer);
  loop_drop(&c->source);
  buffer_free(&c->in);
  buffer_free(&c->out);
  conn_counts.open--;
  c->server->gone(c);
  free(c);
}

/* Everything is sent and the client is to go: data that it may still send must not reset the
 * connection before it has read the answer. */
static void linger(struct conn *c) {
  c->state = CONN_LINGER;
  shutdown(c->source.fd, SHUT_WR);
  expect_by(c, LINGER_MS);
}

/* Reads to throw away; true: the connection can be closed. */
static bool drain(struct conn *c) {
  char waste[READ_SIZE];
  for (int i = 0; i < 64; i++) {
    ssize_t n = recv(c->source.fd, waste, sizeof waste, 0);
    if (n < 0 && errno == EINTR)
      continue;
    if (n <= 0)
      return n == 0 || errno != EAGAIN;
  }
  return true;
}

/* ---- requests ----------------------------------------------------------------------------- */

/* The request at hand has been answered: the next one begins behind it. */
static void next_request(struct conn *c) {
  buffer_take(&c->in, c->head.size + c->body_size);
  trim(&c->in);
  c->state = CONN_HEAD;
  c->seen = 0;
}

/* Answers something that cannot be read on behind. */
static void refuse(struct conn *c, int status) {
  c->keepalive = false;
  conn_counts.refused++;
  c->server->refuse(c, status);
}

static void dispatch(struct conn *c) {
  c->state = CONN_WAIT;
  c->deadline = 0;
  conn_counts.requests++;
  c->server->handle(c);
}

/* true: something was done; false: more has to be read. */
static bool read_head(struct conn *c) {
  if (!c->in.size)
    return false;
  if (c->seen == 0)
    expect_by(c, conn_settings.header_ms);
  int status = http_parse_head(&c->head, c->in.data, c->in.size, c->seen);
  c->seen = c->in.size;
  if (status == 0)
    return false;
  c->body_size = 0;
  c->chunks = (struct http_chunks){0};
  if (status != 200) {
    c->head.size = c->in.size;
    c->head.method = (struct slice){0};
    refuse(c, status);
    return true;
  }
  c->keepalive = c->head.keepalive;
  bool has_body = c->head.chunked || c->head.length;
  c->body_limit = 0;
  status = c->server->admit(c);
  if (status == 0 && c->head.length > c->body_limit)
    status = 413;
  if (status && has_body) {
    refuse(c, status);
    return true;
  }
  if (status) {
    conn_counts.refused++;
    c->server->refuse(c, status);
    return true;
  }
  if (c->head.expect_continue && has_body && c->in.size == c->head.size)
    buffer_text(&c->out, "HTTP/1.1 100 Continue\r\n\r\n");
  c->state = CONN_BODY;
  return true;
}

static bool read_chunks(struct conn *c) {
  size_t raw = c->head.size + c->body_size, used, made;
  int status = http_decode(&c->chunks, c->in.data + raw, c->in.size - raw, &used, &made,
                           c->body_size, c->body_limit);
  memmove(c->in.data + raw + made, c->in.data + raw + used, c->in.size - raw - used);
  c->in.size -= used - made;
  c->body_size += made;
  if (status == 0)
    return false;
  if (status == 200)
    dispatch(c);
  else
    refuse(c, status);
  return true;
}

static bool read_body(struct conn *c) {
  if (c->head.chunked)
    return read_chunks(c);
  size_t there = c->in.size - c->head.size;
  if (there < c->head.length) {
    buffer_reserve(&c->in, (size_t)c->head.length - there);
    return false;
  }
  c->body_size = (size_t)c->head.length;
  dispatch(c);
  return true;
}

/* Reads once; true: there is something new. */
static bool fill(struct conn *c) {
  if (!c->readable || c->ended || c->broken)
    return false;
  if (!buffer_reserve(&c->in, c->state == CONN_BODY && !c->head.chunked ? 1 : READ_SIZE)) {
    c->broken = true;
    return false;
  }
  size_t room = c->in.room - c->in.size;
  ssize_t n = recv(c->source.fd, c->in.data + c->in.size, room, 0);
  if (n < 0 && errno == EINTR)
    return fill(c);
  if (n < 0 && errno == EAGAIN) {
    c->readable = false;
    return false;
  }
  if (n <= 0) {
    c->ended = true;
    c->broken = n < 0;
    return false;
  }
  if ((size_t)n < room && !c->hung_up)
    c->readable = false; /* what comes later is a new event */
  c->in.size += (size_t)n;
  if (c->state == CONN_BODY)
    expect_by(c, conn_settings.header_ms); /* it gets on */
  return true;
}

/* Does all that can be done now; may free the connection. */
static void run(struct conn *c) {
  bool sent;
  c->running = true;
  do {
    bool more = true;
    while (more && !c->broken && c->state <= CONN_BODY && c->out.size - c->out_done < OUT_HIGH)
      more = (c->state == CONN_HEAD ? read_head(c) : read_body(c)) || fill(c);
    sent = flush(c);
    /* Stopped by the output only, which is gone now? Then on with what is there. */
    if (!(sent && more && !c->broken && c->state <= CONN_BODY))
      break;
  } while (true);
  c->running = false;
  bool over = c->state <= CONN_BODY && c->ended; /* no whole request will come */
  if (c->broken || (sent && over))
    conn_close(c);
  else if (sent && c->state == CONN_LINGER)
    linger(c);
  else if (!sent || (c->state == CONN_HEAD && !c->in.size))
    expect_by(c, conn_settings.idle_ms);
  else if (c->state == CONN_WAIT)
    c->deadline = 0;
}

void conn_reply(struct conn *c, int status, const char *content_type, const char *headers,
                const void *body, size_t size) {
  compose(c, status, content_type, headers, body, size);
  if (c->keepalive)
    next_request(c);
  else
    c->state = CONN_LINGER;
  if (!c->running)
    run(c);
}

/* ---- events ------------------------------------------------------------------------------- */

static void conn_ready(struct source *source, uint32_t events) {
  struct conn *c = container_of(source, struct conn, source);
  if (events & (EPOLLERR | EPOLLHUP)) {
    conn_close(c);
    return;
  }
  if (events & (EPOLLIN | EPOLLRDHUP))
    c->readable = true;
  if (events & EPOLLRDHUP)
    c->hung_up = true; /* no more events: it has to be read to its end */
  if (c->hung_up && c->state == CONN_WAIT && c->server->both_ways) {
    conn_close(c);
    return;
  }
  if (c->state != CONN_LINGER || c->out_done < c->out.size)
    run(c);
  else if (drain(c))
    conn_close(c);
}

static void conn_timer(struct timer *timer) {
  struct conn *c = container_of(timer, struct conn, timer);
  if (c->deadline == 0 || loop_now() < c->deadline) {
    timer_set(timer, c->deadline ? c->deadline : loop_now() + 1000 * MS);
    return;
  }
  if (c->out_done < c->out.size || c->state == CONN_LINGER || !c->in.size) {
    conn_close(c);
    return;
  }
  c->head.size = c->in.size;
  c->head.method = (struct slice){0};
  c->body_size = 0;
  refuse(c, 408);
}

static void accept_one(int fd, struct listener *l) {
  static const char busy[] = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n"
                             "Retry-After: 1\r\nConnection: close\r\n\r\n";
  struct conn *c = NULL;
  if (conn_counts.open < (uint64_t)conn_settings.max_connections)
    c = calloc(1, l->server->size);
  if (!c) {
    send(fd, busy, sizeof busy - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
    close(fd);
    return;
  }
  int one = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  c->source = (struct source){fd, conn_ready};
  c->timer.fire = conn_timer;
  c->listener = l;
  c->server = l->server;
  c->owner = l->owner;
  c->next = conns;
  if (conns)
    conns->prev = c;
  conns = c;
  conn_counts.accepted++;
  conn_counts.open++;
  expect_by(c, conn_settings.idle_ms);
  if (loop_watch(&c->source, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET))
    conn_close(c);
}

static void listener_ready(struct source *source, uint32_t events) {
  (void)events;
  struct listener *l = container_of(source, struct listener, source);
  for (int i = 0; i < 64; i++) {
    int fd = accept4(source->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
      accept_one(fd, l);
    } else if (errno == EAGAIN) {
      return;
    } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
      log_server(LOG_ERROR, NULL, "accept: %s", strerror(errno));
      loop_rewatch(source, 0); /* others wait until something has been closed */
      timer_set(&l->pause, loop_now() + 100 * MS);
      return;
    }
  }
}

static void listener_resume(struct timer *timer) {
  struct listener *l = container_of(timer, struct listener, pause);
  if (l->source.fd >= 0)
    loop_rewatch(&l->source, EPOLLIN);
}

struct listener *conn_listen(const struct sockaddr *address, socklen_t size,
                             const struct conn_server *server, void *owner) {
  int one = 1;
  struct listener *l = calloc(1, sizeof *l);
  if (!l)
    return NULL;
  int fd = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  *l = (struct listener){listeners, {fd, listener_ready}, {.fire = listener_resume}, server, owner};
  if (fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) == 0 &&
      bind(fd, address, size) == 0 && listen(fd, 1024) == 0 &&
      loop_watch(&l->source, EPOLLIN) == 0) {
    listeners = l;
    return l;
  }
  int error = errno;
  loop_drop(&l->source);
  free(l);
  errno = error;
  return NULL;
}

unsigned conn_port(const struct listener *l) {
  union {
    struct sockaddr any;
    struct sockaddr_in in4;
    struct sockaddr_in6 in6;
  } name = {0};
  socklen_t size = sizeof name;
  if (getsockname(l->source.fd, &name.any, &size))
    return 0;
  return ntohs(name.any.sa_family == AF_INET6 ? name.in6.sin6_port : name.in4.sin_port);
}

static void listener_stop(struct listener *l) {
  timer_clear(&l->pause);
  loop_drop(&l->source);
}

void conn_unlisten(struct listener *l) {
  for (struct conn *c = conns, *next; c; c = next) {
    next = c->next;
    if (c->listener == l)
      conn_close(c);
  }
  for (struct listener **link = &listeners; *link; link = &(*link)->next)
    if (*link == l) {
      *link = l->next;
      break;
    }
  listener_stop(l);
  free(l);
}

void conns_stop(void) {
  stopping = true;
  for (struct listener *l = listeners; l; l = l->next)
    listener_stop(l);
  for (struct conn *c = conns, *next; c; c = next) {
    next = c->next;
    if (c->state == CONN_HEAD && !c->in.size && c->out_done == c->out.size)
      conn_close(c);
  }
}

bool conns_idle(void) { return !conns; }
