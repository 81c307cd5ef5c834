// SPDX-License-Identifier: MIT
/* Connections of clients: HTTP/1.1 with keepalive and pipelining, one request of each at a time. */
#ifndef UFAAS_CONN_H
#define UFAAS_CONN_H

#include "config.h"
#include "function.h"
#include "http.h"
#include "loop.h"
#include "route.h"
#include "text.h"

#include <stdbool.h>

enum conn_state {
  CONN_HEAD,   /* a request's head is read */
  CONN_BODY,   /* its body */
  CONN_WAIT,   /* the request is being answered; nothing is read */
  CONN_LINGER, /* all is said; what the client still sends is thrown away for a moment */
};

struct conn {
  struct conn *next, *prev; /* all of them */
  struct source source;
  struct timer timer;
  int64_t deadline; /* closed then; 0: none */
  enum conn_state state;
  bool admin;     /* came to the address of administration */
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
  struct route route;

  struct buffer out;
  size_t out_done;
  struct request *request; /* being answered */
  struct waiter waiter;    /* for a deployment */
};

/* What connections need to know; from the configuration. */
struct conn_settings {
  int64_t max_connections, header_ms, idle_ms;
};
extern struct conn_settings conn_settings;

/* Listens. `admin`: with the routes of administration. 0 or -errno. */
int conn_listen(const struct address *address, bool admin);

/* Answers the request at hand. `headers`: further lines "Name: value\r\n", or "". The connection
 * may be closed and freed by this. */
void conn_reply(struct conn *c, int status, const char *content_type, const char *headers,
                const void *body, size_t size);

/* Stops listening; connections end when they have their answers. */
void conns_stop(void);
/* Whether any is left. */
bool conns_idle(void);

#endif
