// SPDX-License-Identifier: MIT
#include "exchange.h"
#include "config.h"
#include "function.h"
#include "log.h"
#include "protocol.h"
#include "request.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#define TAIL_BYTES 4096

/* ---- what it prints ----------------------------------------------------------------------- */

static void line_end(void *request) {
  struct request *r = request;
  if (!r->line.size)
    return;
  log_output(request_config(r)->name, r->uuid, r->line.data, r->line.size);
  r->function->metrics.log_lines++;
  r->line.size = 0;
}

void exchange_log_rest(struct request *r) { line_end(r); }

static void print(struct request *r, const char *data, size_t size) {
  if (r->want_tail && !r->has_answer) {
    buffer_add(&r->tail, data, size);
    if (r->tail.size > 4 * TAIL_BYTES)
      buffer_take(&r->tail, r->tail.size - TAIL_BYTES);
  }
  lines_add(&r->line, data, size, line_end, r);
}

void exchange_log(struct request *r, int rounds) {
  char data[16384];
  while (rounds-- > 0 && r->log.fd >= 0) {
    ssize_t n = read(r->log.fd, data, sizeof data);
    if (n < 0 && errno == EINTR)
      continue;
    if (n == 0)
      loop_drop(&r->log);
    if (n <= 0)
      return;
    print(r, data, (size_t)n);
    if ((size_t)n < sizeof data)
      return;
  }
}

void exchange_log_ready(struct source *source, uint32_t events) {
  (void)events;
  exchange_log(container_of(source, struct request, log), 4);
}

void request_tail(struct request *r, struct buffer *out) {
  struct buffer text = {0};
  double ms = (double)(loop_clock() - r->started) / 1e6;
  buffer_format(&text, "START RequestId: %s Version: $LATEST\n", r->uuid);
  buffer_add(&text, r->tail.data, r->tail.size);
  if (r->tail.size && r->tail.data[r->tail.size - 1] != '\n')
    buffer_text(&text, "\n");
  buffer_format(&text,
                "END RequestId: %s\nREPORT RequestId: %s\tDuration: %.2f ms\tBilled Duration: %.0f "
                "ms\tMemory Size: %lld MB\n",
                r->uuid, r->uuid, ms, ms + 0.5, (long long)request_config(r)->memory_mb);
  size_t skip = text.size > TAIL_BYTES ? text.size - TAIL_BYTES : 0;
  base64(out, text.data + skip, text.size - skip);
  buffer_free(&text);
}

/* ---- the conversation --------------------------------------------------------------------- */

/* The value of a line "Name: value\n" of the answer's header. */
static void take_content_type(struct request *r, const char *header, size_t size) {
  static const char name[] = "content-type:";
  strcpy(r->content_type, "application/json"); // NOLINT(*insecureAPI.strcpy)
  for (const char *end; (end = memchr(header, '\n', size)); header = end + 1) {
    size_t line = (size_t)(end - header);
    size -= line + 1;
    if (line < sizeof name || strncasecmp(header, name, sizeof name - 1) != 0)
      continue;
    const char *value = header + sizeof name - 1;
    while (value < end && *value == ' ')
      value++;
    size_t n = (size_t)(end - value);
    bool plain = n > 0 && n < sizeof r->content_type;
    for (size_t i = 0; i < n; i++)
      plain = plain && value[i] >= ' ' && value[i] < 0x7f;
    if (plain) {
      memcpy(r->content_type, value, n);
      r->content_type[n] = 0;
    }
  }
}

/* Looks whether the answer is whole, and passes it on. false: it breaks the rules. */
static bool check_answer(struct request *r) {
  struct ufaas_part part;
  if (r->in.size < sizeof part)
    return true;
  memcpy(&part, r->in.data, sizeof part);
  uint64_t limit = (uint64_t)request_config(r)->max_response;
  if ((part.kind != UFAAS_RESPONSE && part.kind != UFAAS_ERROR) || part.header_size > 65536)
    return false;
  if (part.body_size > limit) {
    char text[160];
    snprintf(text, sizeof text,
             "Response payload size (%llu bytes) exceeded maximum allowed "
             "payload size (%llu bytes).",
             (unsigned long long)part.body_size, (unsigned long long)limit);
    request_error(r, "Function.ResponseSizeTooLarge", text);
    request_answer(r, OUTCOME_HANDLER);
    request_kill(r);
    return true;
  }
  size_t whole = sizeof part + part.header_size + (size_t)part.body_size;
  if (r->in.size < whole) {
    buffer_reserve(&r->in, whole - r->in.size);
    return !r->in.failed;
  }
  const char *header = r->in.data + sizeof part;
  take_content_type(r, header, part.header_size);
  r->body = header + part.header_size;
  r->body_size = (size_t)part.body_size;
  r->error = part.kind == UFAAS_ERROR;
  if (r->want_tail)
    exchange_log(r, 64);
  request_answer(r, r->error ? OUTCOME_HANDLER : OUTCOME_OK);
  return true;
}

void exchange_receive(struct request *r) {
  while (!r->has_answer && r->conversation.fd >= 0) {
    if (!buffer_reserve(&r->in, r->in.size ? 1 : 4096)) {
      request_crash(r, "out of memory for the answer");
      request_kill(r);
      return;
    }
    size_t room = r->in.room - r->in.size;
    ssize_t n = recv(r->conversation.fd, r->in.data + r->in.size, room, MSG_DONTWAIT);
    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0 && errno == EAGAIN)
      return;
    if (n <= 0) { /* ended too early: ENDED will say how */
      loop_drop(&r->conversation);
      return;
    }
    r->in.size += (size_t)n;
    if (!check_answer(r)) {
      request_crash(r, "Runtime answered in a form that is not understood");
      request_kill(r);
      return;
    }
    if (!r->has_answer && (size_t)n < room && r->in.size < r->in.room)
      return;
  }
}

void exchange_send(struct request *r) {
  while (r->conversation.fd >= 0 && r->out_done < r->out.size) {
    ssize_t n = send(r->conversation.fd, r->out.data + r->out_done, r->out.size - r->out_done,
                     MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0 && errno == EAGAIN)
      return;
    if (n < 0) { /* it wants no more */
      r->out_done = r->out.size;
      return;
    }
    r->out_done += (size_t)n;
  }
  shutdown(r->conversation.fd, SHUT_WR);
  r->out.size = r->out_done = 0;
}

void exchange_ready(struct source *source, uint32_t events) {
  struct request *r = container_of(source, struct request, conversation);
  if ((events & EPOLLOUT) && r->out.size) {
    exchange_send(r);
    if (!r->out.size && r->conversation.fd >= 0)
      loop_rewatch(source, EPOLLIN);
  }
  if (events & ~(uint32_t)EPOLLOUT) {
    exchange_receive(r);
    if (r->has_answer)
      loop_drop(&r->conversation);
  }
}
