// SPDX-License-Identifier: MIT
/*
 * rapi: a zygote (protocol.h) whose workers are custom runtimes of AWS Lambda, unmodified. Each
 * runs in an *environment*: a process that asks for an event over HTTP, answers it and asks again
 * (Lambda's Runtime API, version 2018-06-01). A *call* is an invocation on its way through.
 * One thread, the event loop of ufaas.
 */
#ifndef UFAAS_RAPI_H
#define UFAAS_RAPI_H

#include "../http.h"
#include "../loop.h"
#include "../text.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct conn;
struct conn_server;
struct listener;

/* Takes `item` off the list that begins at `first` and goes on at `next`; it must be there. The
 * pointer that led to it. */
#define list_take(first, item, next)                                                               \
  ({                                                                                               \
    typeof(first) *link_ = &(first);                                                               \
    while (*link_ != (item))                                                                       \
      link_ = &(*link_)->next;                                                                     \
    *link_ = (item)->next;                                                                         \
    link_;                                                                                         \
  })

/* The command line. */
struct rapi_settings {
  char *bootstrap; /* the program */
  int64_t init_ms; /* for an environment to ask for its first event */
  int64_t timeout_ms;
  int64_t idle_ms; /* an environment that has had nothing to do for so long is ended, but for one */
  uint64_t max_response;
};
extern struct rapi_settings rapi_settings;

/* ---- calls (call.c) ----------------------------------------------------------------------- */

struct call {
  struct call *next;               /* of all */
  struct call *after;              /* of those that wait */
  uint64_t id;                     /* in orders and notes */
  struct environment *env;         /* that has it */
  struct source conversation, log; /* log: what an environment prints meanwhile goes there */
  struct buffer in;                /* the request: a part, header, body */
  struct buffer out;               /* the answer */
  size_t out_done;
  size_t header_size, body_size; /* of the request, when it is whole */
  bool whole, waits;
  bool ended; /* only its answer is still to be sent, then ENDED with: */
  int status;
  uint64_t max_rss;
};

extern struct call *calls;

/* From INVOKE: takes both descriptors. */
void call_new(uint64_t id, int conversation, int log);
struct call *call_find(uint64_t id);
/* The value of a header line; size 0: there is none. */
struct slice call_header(const struct call *c, const char *name);
/* Answers. `type`: of the content. */
void call_answer(struct call *c, const char *type, const void *body, size_t size);
/* Answers with an error object; one that is not JSON is put into one with `type`. */
void call_error(struct call *c, const char *type, const char *object, size_t size);
/* No environment can have it: FAILED with this errno follows, and it is freed. */
void call_fail(struct call *c, int error);
/* It is over: ENDED with this wait status follows its answer, and it is freed. */
void call_end(struct call *c, int status, uint64_t max_rss);
/* The same without the rest of the answer. */
void call_abort(struct call *c, int status);

/* ---- environments (environment.c) --------------------------------------------------------- */

enum environment_state {
  ENV_STARTING, /* has not asked for its first event, or does not wait for its answer any more */
  ENV_IDLE,     /* waits for an event */
  ENV_BUSY,     /* has one */
  ENV_ANSWERED, /* and has answered it, but not asked for the next */
};

struct environment {
  struct environment *next;
  enum environment_state state;
  unsigned long serial;
  pid_t pid;
  struct listener *listener; /* its Runtime API */
  struct conn *waiting;      /* that asks for the next event */
  struct call *call;
  struct source output; /* what it prints */
  struct buffer held;   /* of that, what the log has no room for */
  bool paused;          /* its output is not looked at */
  bool killed;          /* it gets no event any more, whatever its state */
  bool dead;            /* has been waited for; the log of its call has no room for the rest */
  bool proven;          /* has asked for an event: that it ends is nobody's failure to start */
  struct timer timer;   /* starting: has to be ready; idle: is to be ended */
  int status;           /* dead: how it ended */
  uint64_t max_rss;     /* bytes */
  struct buffer error;  /* why it does not start: an error object */
  char *tmp;
};

extern struct environment *environments; /* the one that was used last comes first */

/* 0 or -errno; rapi_ready or rapi_not_started follows. */
int environment_start(void);
/* Gives it a call; it must be idle, and not killed. */
void environment_give(struct environment *e, struct call *c);
/* Whether it can be given one, that is, has not ended unnoticed. */
bool environment_lives(struct environment *e);
/* Ends it: environments_reap finds it then. What it has sent before may still arrive. */
void environment_kill(struct environment *e);
/* Passes on what it has printed. true: all that there is; false: the log has no room. */
bool environment_pump(struct environment *e);
/* Answered and asking for the next event: it is idle when its output has been passed on. */
void environment_settle(struct environment *e);
/* The log of its call has room again: what comes next. It may be freed by this. */
void environment_go_on(struct environment *e);
/* It does not ask for an event any more: it has to come back as if it had just been started. */
void environment_leaves(struct environment *e);
/* Waits for all that have ended, without blocking. */
void environments_reap(void);
/* Ends all that there are and waits for them. */
void environments_end(void);

/* ---- who asks (runtime_api.c, peer.c) ----------------------------------------------------- */

/* Of an environment, which is the owner of the listener. */
extern const struct conn_server runtime_api;

/* Whether the other end of a connection over loopback belongs to a process of our user, as far as
 * the system tells. */
bool peer_is_ours(int fd);

/* ---- the whole (main.c) ------------------------------------------------------------------- */

/* A call is whole and waits for an environment. */
void rapi_wait(struct call *c);
/* It does not any more. */
void rapi_forget(struct call *c);
/* An environment is idle: it may get what waits. */
void rapi_ready(struct environment *e);
/* One has not got so far; `error` is an error object. */
void rapi_not_started(const struct buffer *error);
/* A call has ended. */
void rapi_check(void);
/* An environment has. */
void rapi_go_on(void);

#endif
