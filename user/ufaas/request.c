// SPDX-License-Identifier: MIT
#include "request.h"
#include "exchange.h"
#include "function.h"
#include "log.h"
#include "protocol.h"
#include "random.h"
#include "zygote.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* A worker is done within this time as a rule; what others print is watched from then on. */
#define LOG_PATIENCE (2 * MS)

/* ---- ids: a slot's number in the low 20 bits, how often it was used above ------------------- */

#define SLOT_BITS 20

struct slot {
  struct request *request;
  uint64_t uses;
  uint32_t next_free;
};
static struct slot *slots;
static uint32_t slot_count, first_free;

static bool slot_take(struct request *r) {
  if (first_free == slot_count) {
    uint32_t count = slot_count ? 2 * slot_count : 256;
    struct slot *more =
        count > 1u << SLOT_BITS ? NULL : realloc(slots, count * sizeof(struct slot));
    if (!more)
      return false;
    slots = more;
    for (uint32_t i = slot_count; i < count; i++)
      slots[i] = (struct slot){.next_free = i + 1};
    slot_count = count;
  }
  uint32_t i = first_free;
  first_free = slots[i].next_free;
  slots[i].request = r;
  r->id = ++slots[i].uses << SLOT_BITS | i;
  return true;
}

static void slot_give(const struct request *r) {
  uint32_t i = r->id & ((1u << SLOT_BITS) - 1);
  slots[i].request = NULL;
  slots[i].next_free = first_free;
  first_free = i;
}

struct request *request_find(uint64_t id) {
  uint32_t i = id & ((1u << SLOT_BITS) - 1);
  return i < slot_count && slots[i].request && slots[i].request->id == id ? slots[i].request : NULL;
}

/* ---- making and ending -------------------------------------------------------------------- */

/* Some that were used, with their buffers, so that a request need not allocate anything. */
#define SPARE_MAX 64
#define SPARE_ROOM 65536 /* larger buffers are given back */
static struct request *spare;
static unsigned spares;

static void timer_fired(struct timer *timer);

/* That of the zygote: a deployment may have changed the function's since. */
const struct function_config *request_config(const struct request *r) {
  return r->zygote ? r->zygote->config : r->function->config;
}

static int64_t wall_ms(void) {
  struct timespec t;
  clock_gettime(CLOCK_REALTIME, &t);
  return t.tv_sec * 1000LL + t.tv_nsec / 1000000;
}

static struct buffer emptied(struct buffer b) {
  if (b.room > SPARE_ROOM)
    buffer_free(&b);
  b.size = 0;
  b.failed = false;
  return b;
}

static void request_forget(struct request *r) {
  buffer_free(&r->out);
  buffer_free(&r->in);
  buffer_free(&r->made);
  buffer_free(&r->tail);
  buffer_free(&r->line);
  free(r);
}

/* One with an id and nothing else. NULL: no memory. */
static struct request *request_blank(void) {
  struct request *r = spare;
  if (r) {
    spare = r->next;
    spares--;
    *r = (struct request){.out = emptied(r->out),
                          .in = emptied(r->in),
                          .made = emptied(r->made),
                          .tail = emptied(r->tail),
                          .line = emptied(r->line)};
  } else {
    r = calloc(1, sizeof *r);
  }
  if (r && !slot_take(r)) {
    request_forget(r);
    return NULL;
  }
  return r;
}

struct request *request_new(struct function *f, const char *header, size_t header_size,
                            const char *body, size_t body_size) {
  struct request *r = request_blank();
  if (!r)
    return NULL;
  r->function = f;
  r->conversation = (struct source){-1, exchange_ready};
  r->log = (struct source){-1, exchange_log_ready};
  r->worker_fds[0] = r->worker_fds[1] = -1;
  r->timer.fire = timer_fired;
  r->arrived = loop_now();
  random_uuid(r->uuid);
  /* The deadline is put in when it starts; room is kept for it. */
  struct ufaas_part part = {.kind = UFAAS_REQUEST, .body_size = body_size};
  buffer_reserve(&r->out, sizeof part + header_size + body_size + 256);
  buffer_add(&r->out, &part, sizeof part);
  buffer_format(
      &r->out,
      "Lambda-Runtime-Aws-Request-Id: %s\n"
      "Lambda-Runtime-Invoked-Function-Arn: arn:aws:lambda:local:000000000000:function:%s\n"
      "Lambda-Runtime-Deadline-Ms: %13lld\n",
      r->uuid, f->config->name, 0LL);
  buffer_add(&r->out, header, header_size);
  part.header_size = (uint32_t)(r->out.size - sizeof part);
  buffer_add(&r->out, body, body_size);
  if (r->out.failed) {
    request_free(r);
    return NULL;
  }
  memcpy(r->out.data, &part, sizeof part);
  return r;
}

/* Writes the deadline over the place that was kept for it. */
static void set_deadline(struct request *r, int64_t deadline) {
  static const char name[] = "Lambda-Runtime-Deadline-Ms: ";
  char digits[14];
  char *place = memmem(r->out.data, r->out.size, name, sizeof name - 1);
  snprintf(digits, sizeof digits, "%13lld", (long long)deadline);
  memcpy(place + sizeof name - 1, digits, 13);
}

static void close_worker_fds(struct request *r) {
  for (int i = 0; i < 2; i++)
    if (r->worker_fds[i] >= 0) {
      close(r->worker_fds[i]);
      r->worker_fds[i] = -1;
    }
}

void request_free(struct request *r) {
  slot_give(r);
  timer_clear(&r->timer);
  loop_drop(&r->conversation);
  loop_drop(&r->log);
  close_worker_fds(r);
  if (spares == SPARE_MAX) {
    request_forget(r);
    return;
  }
  r->next = spare;
  spare = r;
  spares++;
}

/* Lambda's error object. */
void request_error(struct request *r, const char *type, const char *text) {
  r->made.size = 0;
  buffer_text(&r->made, "{\"errorType\":");
  json_string(&r->made, type);
  buffer_text(&r->made, ",\"errorMessage\":");
  json_string(&r->made, text);
  buffer_text(&r->made, "}");
  r->error = true;
  r->body = r->made.data;
  r->body_size = r->made.size;
  strcpy(r->content_type, "application/json"); // NOLINT(*insecureAPI.strcpy)
}

void request_answer(struct request *r, enum outcome outcome) {
  struct function *f = r->function;
  r->has_answer = true;
  r->outcome = outcome;
  f->metrics.outcomes[outcome]++;
  metrics_latency(&f->metrics, loop_clock() - r->arrived);
  if (r->owner)
    r->answered(r);
  r->owner = NULL;
}

void request_refuse(struct request *r, enum outcome outcome, const char *cause) {
  request_error(r, outcome == OUTCOME_FULL ? "TooManyRequestsException" : "ServiceException",
                cause);
  if (log_level_of() <= LOG_INFO)
    log_report(request_config(r)->name, r->uuid, outcome_name(outcome), -1, 0,
               loop_now() - r->arrived, 0, 0);
  request_answer(r, outcome);
  request_free(r);
}

/* Takes it from its zygote and ends it; the function goes on with the next. */
static void finish(struct request *r) {
  struct function *f = r->function;
  if (r->prev)
    r->prev->next = r->next;
  else
    r->zygote->requests = r->next;
  if (r->next)
    r->next->prev = r->prev;
  request_free(r);
  function_ended(f);
}

void request_crash(struct request *r, const char *why) {
  char text[256];
  snprintf(text, sizeof text, "RequestId: %s Error: %s", r->uuid, why);
  request_error(r, "Runtime.ExitError", text);
  request_answer(r, OUTCOME_CRASH);
}

/* Ends the worker; request_note_ended will follow. */
void request_kill(struct request *r) {
  r->kill_wanted = true;
  if (r->invoked && !r->kill_sent && !r->zygote->blocked)
    r->kill_sent = zygote_order(r->zygote, UFAAS_KILL, r->id, NULL) == 0;
}

/* ---- its course --------------------------------------------------------------------------- */

/* The time to start an environment does not count, and has a limit of its own. */
static int64_t deadline(const struct request *r) {
  const struct function_config *c = request_config(r);
  return r->started + (c->timeout_ms + (c->bootstrap && !r->worker ? c->warmup_ms : 0)) * MS;
}

static void timed_out(struct request *r) {
  exchange_log(r, 64);
  if (!r->has_answer) {
    char text[160];
    snprintf(text, sizeof text, "RequestId: %s Error: Task timed out after %.2f seconds", r->uuid,
             (double)request_config(r)->timeout_ms / 1000);
    request_error(r, "Sandbox.Timedout", text);
    request_answer(r, OUTCOME_TIMEOUT);
  }
  request_kill(r);
}

static void timer_fired(struct timer *timer) {
  struct request *r = container_of(timer, struct request, timer);
  if (!r->log_watched && r->log.fd >= 0 && loop_watch(&r->log, EPOLLIN) == 0)
    r->log_watched = true;
  if (loop_now() >= deadline(r)) {
    timed_out(r);
    /* A zygote that does not end a worker when told to has something wrong with it. */
    if (loop_now() >= deadline(r) + 5000 * MS)
      zygote_kill(r->zygote);
    else
      timer_set(timer, deadline(r) + 5000 * MS);
    return;
  }
  timer_set(timer, deadline(r));
}

/* Hands the worker's ends to the zygote. */
static void invoke(struct request *r) {
  int error = zygote_order(r->zygote, UFAAS_INVOKE, r->id, r->worker_fds);
  if (error == -EAGAIN)
    return;
  r->invoked = error == 0;
  close_worker_fds(r);
  if (error && error != -EPIPE && error != -ECONNRESET)
    log_server(LOG_ERROR, request_config(r)->name, "order to zygote %d: %s", (int)r->zygote->pid,
               strerror(-error));
  if (error)
    zygote_kill(r->zygote); /* which ends the request */
}

void request_resume(struct request *r) {
  if (!r->invoked)
    invoke(r);
  if (r->kill_wanted)
    request_kill(r);
}

static int open_channels(struct request *r) {
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
    return -errno;
  r->conversation.fd = pair[0];
  r->worker_fds[0] = pair[1];
  if (pipe2(pair, O_CLOEXEC))
    return -errno;
  r->log.fd = pair[0];
  r->worker_fds[1] = pair[1];
  return fcntl(pair[0], F_SETFL, O_NONBLOCK) ? -errno : 0;
}

void request_start(struct request *r, struct zygote *z) {
  r->zygote = z;
  r->prev = NULL;
  r->next = z->requests;
  if (r->next)
    r->next->prev = r;
  z->requests = r;
  r->started = loop_clock();
  set_deadline(r, wall_ms() + request_config(r)->timeout_ms);
  int error = open_channels(r);
  if (!error) {
    exchange_send(r);
    error = loop_watch(&r->conversation, r->out.size ? EPOLLIN | EPOLLOUT : EPOLLIN);
  }
  if (error) {
    request_note_failed(r, -error);
    return;
  }
  int64_t first = r->started + LOG_PATIENCE;
  timer_set(&r->timer, first < deadline(r) ? first : deadline(r));
  invoke(r);
}

void request_note_started(struct request *r, pid_t worker, uint64_t when) {
  r->worker = worker;
  if (!when || (int64_t)when < r->started || (int64_t)when > loop_clock())
    return;
  r->started = (int64_t)when;
  if (!r->has_answer && deadline(r) < r->timer.when)
    timer_set(&r->timer, deadline(r));
}

void request_note_failed(struct request *r, int error) {
  if (!r->has_answer) {
    char text[160];
    snprintf(text, sizeof text, "no worker could be started: %s", strerror(error));
    request_error(r, "ServiceException", text);
    request_answer(r, OUTCOME_NO_ZYGOTE);
  }
  finish(r);
}

static void report(struct request *r, int status, uint64_t max_rss) {
  if (log_level_of() > LOG_INFO)
    return;
  log_report(request_config(r)->name, r->uuid, outcome_name(r->outcome), status,
             loop_clock() - r->started, r->started - r->arrived, max_rss, r->worker);
}

/* "signal: segmentation fault", as Lambda words it; with a hint if memory was the cause. */
static void describe_end(const struct request *r, int status, uint64_t max_rss, char *text,
                         size_t size) {
  uint64_t limit = (uint64_t)request_config(r)->memory_mb << 20;
  char memory[96] = "";
  if (max_rss >= limit - limit / 8)
    snprintf(memory, sizeof memory, " (it used %llu MB of %lld MB)",
             (unsigned long long)(max_rss >> 20), (long long)request_config(r)->memory_mb);
  if (WIFSIGNALED(status)) {
    char name[48];
    snprintf(name, sizeof name, "%s", strsignal(WTERMSIG(status)));
    for (char *c = name; *c; c++)
      *c |= *c >= 'A' && *c <= 'Z' ? 0x20 : 0;
    snprintf(text, size, "Runtime exited with error: signal: %s%s", name, memory);
  } else if (WEXITSTATUS(status)) {
    snprintf(text, size, "Runtime exited with error: exit status %d%s", WEXITSTATUS(status),
             memory);
  } else {
    snprintf(text, size, "Runtime exited without providing a reason%s", memory);
  }
}

void request_note_ended(struct request *r, int wait_status, uint64_t max_rss) {
  exchange_receive(r); /* it may have come together with this note */
  exchange_log(r, 64);
  exchange_log_rest(r);
  if (!r->has_answer) {
    char text[200];
    describe_end(r, wait_status, max_rss, text, sizeof text);
    request_crash(r, text);
  }
  if (max_rss > r->function->metrics.max_rss)
    r->function->metrics.max_rss = max_rss;
  report(r, wait_status, max_rss);
  finish(r);
}

/* The zygote can no longer do it. Its children have become ours, so the id is still theirs, and
 * nobody else than a child of ours is meant, whatever the zygote said. */
static void kill_orphan(pid_t pid) {
  siginfo_t info;
  if (pid > 0 && !zygote_exists(pid) &&
      waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0) {
    kill(-pid, SIGKILL);
    kill(pid, SIGKILL);
  }
}

void request_zygote_gone(struct request *r, const char *cause) {
  kill_orphan(r->worker);
  exchange_receive(r);
  exchange_log(r, 64);
  exchange_log_rest(r);
  if (!r->has_answer) {
    char text[320];
    snprintf(text, sizeof text, "zygote %s", cause);
    request_error(r, "ServiceException", text);
    request_answer(r, OUTCOME_NO_ZYGOTE);
  }
  report(r, -1, 0);
  finish(r);
}
