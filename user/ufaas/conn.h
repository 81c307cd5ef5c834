// SPDX-License-Identifier: MIT
/* A server of HTTP/1.1 with keepalive and pipelining; of each connection one request at a time.
 * What the requests mean is the business of whoever listens. */
#ifndef UFAAS_CONN_H
#define UFAAS_CONN_H

#include "http.h"
#include "loop.h"
#include "text.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

enum conn_state {
  CONN_HEAD,   /* a request's head is read */
  CONN_BODY,   /* its body */
  CONN_WAIT,   /* the request is being answered; nothing is read */
  CONN_LINGER, /* all is said; what the client still sends is thrown away for a moment */
};

struct conn;
struct listener;

/* Who answers the requests of a listener's connections. */
struct conn_server {
  size_t size; /* of his objects, whose first member is struct conn; the rest is zero at first */
  /* Decides by the head where the request leads: fills c->body_limit (0 before). 0, or the status
   * to refuse it with. */
  int (*admit)(struct conn *c);
  /* The request is complete: answers it with conn_reply, now or later. */
  void (*handle)(struct conn *c);
  /* Answers with this status; conn_reply is called before it returns. */
  void (*refuse)(struct conn *c, int status);
  /* It has been closed and is freed behind this; what it waited for concerns nobody any more. */
  void (*gone)(struct conn *c);
  bool both_ways; /* a client that has ended its side is not waiting for an answer */
};

struct conn {
  struct conn *next, *prev;  /* all of them */
  struct listener *listener; /* that it came to */
  const struct conn_server *server;
  void *owner; /* as conn_listen was told */
  struct source source;
  struct timer timer;
  int64_t deadline; /* closed then; 0: none */
  enum conn_state state;
  bool running;   /* in conn.c's loop over requests */
  bool readable;  /* there may be something to read */
  bool hung_up;   /* its last event has been */
  bool ended;     /* the client sends no more */
  bool broken;    /* nothing can be sent any more */
  bool keepalive; /* stays after the answer */

  struct buffer in; /* head and body of the request, then what follows it */
  size_t seen;      /* bytes of an incomplete head that were looked at */
  struct http_head head;
  struct http_chunks chunks;
  size_t body_size; /* known when the body is complete; chunked: so far */
  uint64_t body_limit;

  struct buffer out;
  size_t out_done;
};

/* What connections need to know. */
struct conn_settings {
  int64_t max_connections, header_ms, idle_ms;
};
extern struct conn_settings conn_settings;

/* All connections so far. */
struct conn_counts {
  uint64_t accepted, open;
  uint64_t requests, refused; /* read; malformed or over a limit */
};
extern struct conn_counts conn_counts;

/* Listens at an address; `owner` is for the server. NULL with errno set. */
struct listener *conn_listen(const struct sockaddr *address, socklen_t size,
                             const struct conn_server *server, void *owner);
/* The port that it listens at. */
unsigned conn_port(const struct listener *listener);
/* Closes a listener with its connections; not from within their callbacks. */
void conn_unlisten(struct listener *listener);

/* Answers the request at hand. `headers`: further lines "Name: value\r\n", or "". The connection
 * may be closed and freed by this. */
void conn_reply(struct conn *c, int status, const char *content_type, const char *headers,
                const void *body, size_t size);

/* All listeners stop; connections end when they have their answers. */
void conns_stop(void);
/* Whether any is left. */
bool conns_idle(void);

#endif
