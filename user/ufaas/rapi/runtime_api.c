// SPDX-License-Identifier: MIT
/* The Runtime API of AWS Lambda, as an environment sees it. */
#include "../conn.h"
#include "path.h"
#include "rapi.h"

#include <stdio.h>
#include <string.h>

#define JSON "application/json"
static const char accepted[] = "{\"status\":\"OK\"}\n";

/* A connection of an environment, or of somebody who pretends. */
struct caller {
  struct conn conn;
  struct rapi_path path;
  bool known, ours;
};

static struct caller *caller(const struct conn *c) { return (struct caller *)c; }

static void fail(struct conn *c, int status, const char *type, const char *text) {
  struct buffer body = {0};
  buffer_format(&body, "{\"errorType\":\"%s\",\"errorMessage\":", type);
  json_string(&body, text);
  buffer_text(&body, "}\n");
  conn_reply(c, status, JSON, "", body.data, body.failed ? 0 : body.size);
  buffer_free(&body);
}

/* The call that the path names, if the environment has it and it is not answered. */
static struct call *call_of(const struct conn *c) {
  const struct environment *e = c->owner;
  struct slice id = caller(c)->path.id;
  if (e->state != ENV_BUSY)
    return NULL;
  struct slice own = call_header(e->call, "Lambda-Runtime-Aws-Request-Id");
  bool same = own.size == id.size && own.size &&
              memcmp(e->call->in.data + own.at, c->in.data + id.at, id.size) == 0;
  return same ? e->call : NULL;
}

static int admit(struct conn *c) {
  struct caller *k = caller(c);
  if (!k->known) {
    k->known = true;
    k->ours = peer_is_ours(c->source.fd);
  }
  int status = k->ours ? rapi_path_find(&k->path, &c->head, c->in.data) : 403;
  if (status)
    return status;
  c->body_limit = k->path.kind == RAPI_NEXT ? 0 : rapi_settings.max_response;
  return 0;
}

static void too_large(struct conn *c) {
  struct environment *e = c->owner;
  struct call *call = c->head.method.size ? call_of(c) : NULL; /* else it was malformed */
  char text[120];
  snprintf(text, sizeof text, "Exceeded maximum allowed payload size (%llu bytes).",
           (unsigned long long)rapi_settings.max_response);
  if (call && caller(c)->path.kind != RAPI_INIT_ERROR) {
    environment_pump(e);
    call_error(call, "Function.ResponseSizeTooLarge", text, strlen(text));
    e->state = ENV_ANSWERED;
  }
  fail(c, 413, "RequestEntityTooLarge", text);
}

static void refuse(struct conn *c, int status) {
  if (status == 413 && caller(c)->ours)
    too_large(c);
  else if (status == 403)
    fail(c, 403, "Forbidden", "This is the Runtime API of another function");
  else
    fail(c, status, "InvalidRequest", http_reason(status));
}

/* ---- what is asked for -------------------------------------------------------------------- */

static void next(struct conn *c) {
  struct environment *e = c->owner;
  if (e->waiting || e->state == ENV_BUSY) {
    fail(c, 403, "InvalidStateTransition",
         e->waiting ? "There is a request for the next event already"
                    : "The event at hand has not been answered");
    return;
  }
  e->waiting = c;
  environment_settle(e);
}

static void respond(struct conn *c) {
  struct environment *e = c->owner;
  struct call *call = call_of(c);
  const char *data = c->in.data, *body = data + c->head.size;
  if (!call) {
    bool state = e->state != ENV_BUSY;
    fail(c, state ? 403 : 400, state ? "InvalidStateTransition" : "InvalidRequestID",
         state ? "There is no event to answer" : "Invalid request ID");
    return;
  }
  environment_pump(e); /* what was printed before goes before */
  if (caller(c)->path.kind == RAPI_RESPONSE) {
    /* What tools send unless told otherwise says nothing. */
    struct slice type = http_find(&c->head, data, "Content-Type");
    char text[128] = JSON;
    if (type.size && type.size < sizeof text &&
        !slice_is_nocase(data, type, "application/x-www-form-urlencoded"))
      snprintf(text, sizeof text, "%.*s", (int)type.size, data + type.at);
    call_answer(call, text, body, c->body_size);
  } else {
    struct slice type = http_find(&c->head, data, "Lambda-Runtime-Function-Error-Type");
    char text[128];
    snprintf(text, sizeof text, "%.*s", type.size ? (int)type.size : 7,
             type.size ? data + type.at : "Unknown");
    call_error(call, text, body, c->body_size);
  }
  e->state = ENV_ANSWERED;
  conn_reply(c, 202, JSON, "", accepted, sizeof accepted - 1);
}

/* It is going to end, and has said why. */
static void init_error(struct conn *c) {
  struct environment *e = c->owner;
  if (e->state != ENV_STARTING || e->waiting) {
    fail(c, 403, "InvalidStateTransition", "The runtime has started");
    return;
  }
  const char *body = c->in.data + c->head.size;
  e->error.size = 0;
  if (json_valid(body, c->body_size))
    buffer_add(&e->error, body, c->body_size);
  else
    buffer_text(&e->error, "{\"errorType\":\"Runtime.InitError\",\"errorMessage\":\"\"}");
  conn_reply(c, 202, JSON, "", accepted, sizeof accepted - 1);
}

static void handle(struct conn *c) {
  switch (caller(c)->path.kind) {
  case RAPI_NEXT:
    next(c);
    break;
  case RAPI_RESPONSE:
  case RAPI_ERROR:
    respond(c);
    break;
  case RAPI_INIT_ERROR:
    init_error(c);
    break;
  }
}

static void gone(struct conn *c) {
  struct environment *e = c->owner;
  if (e->waiting == c)
    environment_leaves(e);
}

const struct conn_server runtime_api = {
    .size = sizeof(struct caller),
    .admit = admit,
    .handle = handle,
    .refuse = refuse,
    .gone = gone,
    .both_ways = true,
};
