// SPDX-License-Identifier: MIT
#include "../control.h"
#include "../protocol.h"
#include "rapi.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

struct call *calls;

struct call *call_find(uint64_t id) {
  for (struct call *c = calls; c; c = c->next)
    if (c->id == id)
      return c;
  return NULL;
}

static void call_free(struct call *c) {
  list_take(calls, c, next);
  if (c->waits)
    rapi_forget(c);
  loop_drop(&c->conversation);
  loop_drop(&c->log);
  buffer_free(&c->in);
  buffer_free(&c->out);
  free(c);
}

static void finish(struct call *c) {
  uint64_t id = c->id, max_rss = c->max_rss;
  int status = c->status;
  call_free(c); /* the ends of what it sent and printed come before the note */
  control_note(UFAAS_ENDED, status, id, max_rss);
  rapi_check();
}

void call_fail(struct call *c, int error) {
  uint64_t id = c->id;
  call_free(c);
  control_note(UFAAS_FAILED, error, id, 0);
  rapi_check();
}

/* ---- the request -------------------------------------------------------------------------- */

struct slice call_header(const struct call *c, const char *name) {
  size_t at = sizeof(struct ufaas_part), end = at + c->header_size, n = strlen(name);
  while (at < end) {
    const char *line = c->in.data + at, *stop = memchr(line, '\n', end - at);
    size_t size = stop ? (size_t)(stop - line) : end - at;
    if (size > n + 2 && line[n] == ':' && strncasecmp(line, name, n) == 0)
      return (struct slice){(uint32_t)(at + n + 2), (uint32_t)(size - n - 2)};
    at += size + 1;
  }
  return (struct slice){0};
}

/* Whether all has come. -EPROTO: it is no request. */
static int check_request(struct call *c) {
  struct ufaas_part part;
  if (c->in.size < sizeof part)
    return 0;
  memcpy(&part, c->in.data, sizeof part);
  if (part.kind != UFAAS_REQUEST || part.header_size > 65536 || part.body_size > INT32_MAX)
    return -EPROTO;
  size_t size = sizeof part + part.header_size + (size_t)part.body_size;
  if (c->in.size < size)
    return buffer_reserve(&c->in, size - c->in.size) ? 0 : -ENOMEM;
  c->header_size = part.header_size;
  c->body_size = (size_t)part.body_size;
  return 1;
}

/* Reads on. false: the call has been freed. */
static bool receive(struct call *c) {
  int state = 0;
  while (state == 0) {
    if (!buffer_reserve(&c->in, c->in.size ? 1 : 4096)) {
      state = -ENOMEM;
      break;
    }
    ssize_t n = recv(c->conversation.fd, c->in.data + c->in.size, c->in.room - c->in.size, 0);
    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0 && errno == EAGAIN)
      return true;
    if (n > 0)
      c->in.size += (size_t)n;
    state = n > 0 ? check_request(c) : -EPIPE;
  }
  if (state < 0) {
    call_fail(c, -state);
    return false;
  }
  c->whole = true;
  loop_rewatch(&c->conversation, EPOLLET); /* its end is no news */
  rapi_wait(c);
  return false; /* it may have gone on */
}

/* ---- the answer --------------------------------------------------------------------------- */

static bool sent(const struct call *c) { return c->out_done == c->out.size; }

/* Sends what can be sent. */
static void transmit(struct call *c) {
  while (!sent(c)) {
    ssize_t n = send(c->conversation.fd, c->out.data + c->out_done, c->out.size - c->out_done,
                     MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0 && errno == EAGAIN) {
      loop_rewatch(&c->conversation, EPOLLOUT);
      return;
    }
    c->out_done = n < 0 ? c->out.size : c->out_done + (size_t)n; /* nobody wants it any more */
  }
  loop_rewatch(&c->conversation, EPOLLET); /* nothing else is to be known */
}

static void answer(struct call *c, enum ufaas_part_kind kind, const char *type, const void *body,
                   size_t size) {
  struct buffer header = {0};
  buffer_format(&header, "Content-Type: %s\n", type);
  struct ufaas_part part = {kind, (uint32_t)header.size, size};
  if (c->out.size || header.failed || !buffer_reserve(&c->out, sizeof part + header.size + size)) {
    buffer_free(&header); /* no memory: it ends without an answer */
    return;
  }
  buffer_add(&c->out, &part, sizeof part);
  buffer_add(&c->out, header.data, header.size);
  buffer_add(&c->out, body, size);
  buffer_free(&header);
  transmit(c);
}

void call_answer(struct call *c, const char *type, const void *body, size_t size) {
  answer(c, UFAAS_RESPONSE, type, body, size);
}

void call_error(struct call *c, const char *type, const char *object, size_t size) {
  struct buffer made = {0};
  if (!json_valid(object, size)) {
    buffer_text(&made, "{\"errorType\":");
    json_string(&made, type);
    buffer_text(&made, ",\"errorMessage\":\"");
    json_escape(&made, object, size);
    buffer_text(&made, "\"}");
    object = made.data;
    size = made.size;
  }
  if (!made.failed)
    answer(c, UFAAS_ERROR, "application/json", object, size);
  buffer_free(&made);
}

void call_end(struct call *c, int status, uint64_t max_rss) {
  c->ended = true;
  c->status = status;
  c->max_rss = max_rss;
  c->env = NULL;
  if (sent(c))
    finish(c);
}

void call_abort(struct call *c, int status) {
  c->out_done = c->out.size;
  call_end(c, status, 0);
}

/* ---- events ------------------------------------------------------------------------------- */

static void conversation_ready(struct source *source, uint32_t events) {
  struct call *c = container_of(source, struct call, conversation);
  if (!c->whole && !receive(c))
    return;
  if (c->whole && (events & (EPOLLOUT | EPOLLERR)))
    transmit(c);
  if (c->ended && sent(c))
    finish(c);
}

static void log_ready(struct source *source, uint32_t events) {
  struct call *c = container_of(source, struct call, log);
  if (events & EPOLLERR)
    loop_drop(source); /* nobody reads it: what is printed is thrown away */
  if (c->env)
    environment_go_on(c->env);
}

void call_new(uint64_t id, int conversation, int log) {
  struct call *c = calloc(1, sizeof *c);
  if (!c) {
    close(conversation);
    close(log);
    control_note(UFAAS_FAILED, ENOMEM, id, 0);
    return;
  }
  c->id = id;
  c->conversation = (struct source){conversation, conversation_ready};
  c->log = (struct source){log, log_ready};
  c->next = calls;
  calls = c;
  if (fcntl(conversation, F_SETFL, O_NONBLOCK) || fcntl(log, F_SETFL, O_NONBLOCK) ||
      loop_watch(&c->conversation, EPOLLIN) || loop_watch(&c->log, EPOLLOUT | EPOLLET)) {
    call_fail(c, errno);
    return;
  }
  receive(c);
}
