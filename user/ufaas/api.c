// SPDX-License-Identifier: MIT
#include "api.h"
#include "conn.h"
#include "function.h"
#include "request.h"
#include "route.h"
#include "server.h"
#include "zygote.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define JSON "application/json"

/* A connection, and what it asks for. */
struct client {
  struct conn conn;
  struct route route;
  struct request *request; /* being answered */
  struct waiter waiter;    /* for a deployment */
};

static struct client *client(const struct conn *c) { return (struct client *)c; }

/* ---- errors ------------------------------------------------------------------------------- */

static void fail(struct conn *c, int status, const char *type, const char *text) {
  char header[128];
  struct buffer body = {0};
  snprintf(header, sizeof header, "X-Amzn-ErrorType: %s\r\n", type);
  buffer_format(&body, "{\"Type\":\"%s\",\"Message\":", status < 500 ? "User" : "Server");
  json_string(&body, text);
  buffer_text(&body, "}");
  conn_reply(c, status, JSON, header, body.data, body.failed ? 0 : body.size);
  buffer_free(&body);
}

static void refuse(struct conn *c, int status) {
  char text[96 + FUNCTION_NAME_MAX];
  const char *type = "InvalidRequestContentException";
  snprintf(text, sizeof text, "%s", http_reason(status));
  if (status == 404) {
    int n = client(c)->route.name.size > FUNCTION_NAME_MAX ? FUNCTION_NAME_MAX
                                                           : (int)client(c)->route.name.size;
    type = "ResourceNotFoundException";
    if (n)
      snprintf(text, sizeof text, "Function not found: %.*s", n,
               c->in.data + client(c)->route.name.at);
  } else if (status == 413) {
    type = "RequestTooLargeException";
    snprintf(text, sizeof text, "Request must be smaller than %llu bytes",
             (unsigned long long)c->body_limit);
  }
  fail(c, status, type, text);
}

/* ---- invocations -------------------------------------------------------------------------- */

static struct function *function_of(const struct conn *c) {
  return function_find(c->in.data + client(c)->route.name.at, client(c)->route.name.size);
}

static int admit(struct conn *c, bool administration) {
  int status = route_find(&client(c)->route, &c->head, c->in.data, administration);
  if (status)
    return status;
  if (client(c)->route.kind == ROUTE_LAMBDA || client(c)->route.kind == ROUTE_PLAIN) {
    const struct function *f = function_of(c);
    if (!f)
      return 404;
    c->body_limit = (uint64_t)f->config->max_body;
  }
  return 0;
}

static void reply_lambda(struct conn *c, struct request *r) {
  struct buffer headers = {0};
  buffer_format(&headers, "X-Amzn-RequestId: %s\r\nX-Amz-Executed-Version: $LATEST\r\n", r->uuid);
  if (r->outcome != OUTCOME_OK)
    buffer_text(&headers, "X-Amz-Function-Error: Unhandled\r\n");
  if (r->want_tail) {
    buffer_text(&headers, "X-Amz-Log-Result: ");
    request_tail(r, &headers);
    buffer_text(&headers, "\r\n");
  }
  buffer_add(&headers, "", 1);
  conn_reply(c, 200, r->content_type, headers.failed ? "" : headers.data, r->body, r->body_size);
  buffer_free(&headers);
}

static void reply_plain(struct conn *c, struct request *r) {
  char header[80];
  int status = r->outcome == OUTCOME_OK        ? 200
               : r->outcome == OUTCOME_TIMEOUT ? 504
               : r->outcome == OUTCOME_CRASH   ? 502
                                               : 500;
  snprintf(header, sizeof header, "X-Call-Id: %s\r\n", r->uuid);
  conn_reply(c, status, r->content_type, header, r->body, r->body_size);
}

/* What refused or failed outside of the function; the text is in r->body, an error object. */
static void reply_refusal(struct conn *c, enum outcome outcome, const struct request *r) {
  bool full = outcome == OUTCOME_FULL;
  char header[128];
  snprintf(header, sizeof header, "X-Amzn-ErrorType: %s\r\n%s",
           full ? "TooManyRequestsException" : "ServiceException",
           full ? "Retry-After: 1\r\n" : "");
  conn_reply(c, full ? 429 : 502, JSON, header, r->body, r->body_size);
}

static void answered(struct request *r) {
  struct conn *c = r->owner;
  client(c)->request = NULL;
  if (r->outcome == OUTCOME_FULL || r->outcome == OUTCOME_NO_ZYGOTE)
    reply_refusal(c, r->outcome, r);
  else if (client(c)->route.kind == ROUTE_LAMBDA)
    reply_lambda(c, r);
  else
    reply_plain(c, r);
}

/* Appends "Name: value\n"; values have no line ends (http.c). */
static void pass(struct buffer *out, const char *data, const char *name, struct slice value) {
  if (!value.size)
    return;
  buffer_format(out, "%s: ", name);
  buffer_add(out, data + value.at, value.size);
  buffer_text(out, "\n");
}

static struct request *make_request(struct conn *c, struct function *f) {
  const char *data = c->in.data;
  struct buffer header = {0};
  pass(&header, data, "Content-Type", http_find(&c->head, data, "Content-Type"));
  pass(&header, data, "Lambda-Runtime-Trace-Id", http_find(&c->head, data, "X-Amzn-Trace-Id"));
  if (client(c)->route.kind == ROUTE_PLAIN) {
    pass(&header, data, "Http-Method", c->head.method);
    pass(&header, data, "Http-Path", client(c)->route.rest);
    pass(&header, data, "Http-Query", c->head.query);
  }
  struct request *r =
      header.failed ? NULL
                    : request_new(f, header.data, header.size, data + c->head.size, c->body_size);
  buffer_free(&header);
  return r;
}

static void invoke(struct conn *c) {
  struct function *f = function_of(c);
  if (!f) { /* removed while the body was read */
    refuse(c, 404);
    return;
  }
  if (client(c)->route.invocation == INVOKE_DRY) {
    conn_reply(c, 204, JSON, "", NULL, 0);
    return;
  }
  struct request *r = make_request(c, f);
  if (!r) {
    fail(c, 503, "ServiceException", "out of memory");
    return;
  }
  r->answered = answered;
  if (client(c)->route.invocation == INVOKE_WAIT) {
    r->owner = c;
    r->want_tail = client(c)->route.tail;
    client(c)->request = r;
    function_submit(f, r);
    return;
  }
  char header[80];
  snprintf(header, sizeof header, "X-Amzn-RequestId: %s\r\n", r->uuid);
  enum outcome outcome = function_submit(f, r);
  if (outcome == OUTCOME_OK)
    conn_reply(c, 202, JSON, header, NULL, 0);
  else if (outcome == OUTCOME_FULL)
    fail(c, 429, "TooManyRequestsException", "Rate Exceeded.");
  else
    fail(c, 502, "ServiceException", f->cause);
}

/* ---- administration ----------------------------------------------------------------------- */

static const char *state_of(const struct function *f) {
  if (f->current)
    return f->coming ? "deploying" : "ready";
  return f->coming ? "warming" : "failed";
}

static void list(struct conn *c) {
  struct buffer out = {0};
  buffer_text(&out, "[");
  for (const struct function *f = functions; f; f = f->next) {
    if (f->removed)
      continue;
    buffer_format(&out,
                  "%s{\"name\":\"%s\",\"state\":\"%s\",\"zygote\":%d,\"running\":%u,"
                  "\"queued\":%u,\"requests\":%llu,\"cause\":",
                  out.size > 1 ? "," : "", f->config->name, state_of(f),
                  f->current ? (int)f->current->pid : 0, f->running, f->queued,
                  (unsigned long long)f->metrics.outcomes[OUTCOME_OK]);
    json_string(&out, f->cause);
    buffer_text(&out, "}");
  }
  buffer_text(&out, "]\n");
  conn_reply(c, out.failed ? 503 : 200, JSON, "", out.data, out.failed ? 0 : out.size);
  buffer_free(&out);
}

static void deployed(struct waiter *waiter, const char *cause) {
  struct conn *c = &container_of(waiter, struct client, waiter)->conn;
  if (cause)
    fail(c, 502, "ServiceException", cause);
  else
    conn_reply(c, 200, JSON, "", "{\"state\":\"ready\"}\n", 18);
}

static void deploy(struct conn *c) {
  char name[FUNCTION_NAME_MAX + 1], cause[300];
  int size = client(c)->route.name.size > FUNCTION_NAME_MAX ? 0 : (int)client(c)->route.name.size;
  snprintf(name, sizeof name, "%.*s", size, c->in.data + client(c)->route.name.at);
  client(c)->waiter.deployed = deployed;
  int error = server_deploy(name, &client(c)->waiter, cause, sizeof cause);
  if (error == -ENOENT)
    refuse(c, 404);
  else if (error)
    fail(c, error == -EINVAL ? 400 : 503, "InvalidParameterValueException", cause);
}

static void metrics(struct conn *c) {
  struct buffer out = {0};
  metrics_write(&out);
  conn_reply(c, out.failed ? 503 : 200, "text/plain; version=0.0.4; charset=utf-8", "", out.data,
             out.failed ? 0 : out.size);
  buffer_free(&out);
}

static void handle(struct conn *c) {
  switch (client(c)->route.kind) {
  case ROUTE_LAMBDA:
  case ROUTE_PLAIN:
    invoke(c);
    break;
  case ROUTE_METRICS:
    metrics(c);
    break;
  case ROUTE_HEALTH:
    conn_reply(c, server_ending() ? 503 : 200, JSON, "",
               server_ending() ? "{\"status\":\"ending\"}\n" : "{\"status\":\"ok\"}\n",
               server_ending() ? 20 : 16);
    break;
  case ROUTE_LIST:
    list(c);
    break;
  case ROUTE_DEPLOY:
    deploy(c);
    break;
  }
}

/* ---- connections -------------------------------------------------------------------------- */

static int admit_client(struct conn *c) { return admit(c, false); }
static int admit_administrator(struct conn *c) { return admit(c, true); }

static void gone(struct conn *c) {
  struct request *r = client(c)->request;
  waiter_leave(&client(c)->waiter);
  if (r) {
    r->owner = NULL;
    if (!r->zygote)
      function_cancel(r->function, r);
  }
  server_check();
}

const struct conn_server api_clients = {
    sizeof(struct client), admit_client, handle, refuse, gone, false};
const struct conn_server api_administration = {
    sizeof(struct client), admit_administrator, handle, refuse, gone, false};
