// SPDX-License-Identifier: MIT
/*
 * An invocation of a function: made when a client's request has been read, queued or started by its
 * function, answered once, freed when its worker has ended. A client that goes away in between only
 * loses interest.
 */
#ifndef UFAAS_REQUEST_H
#define UFAAS_REQUEST_H

#include "loop.h"
#include "metrics.h"
#include "text.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct function;
struct zygote;

struct request {
  uint64_t id;   /* in orders and notes */
  char uuid[37]; /* what clients and functions see */
  struct function *function;
  struct zygote *zygote;               /* NULL: not started */
  struct request *next, *prev;         /* in the queue, or of the zygote */
  void *owner;                         /* who wants the answer; NULL: nobody */
  void (*answered)(struct request *r); /* called once if there is an owner */

  struct buffer out; /* part, header and body for the worker */
  size_t out_done;
  struct buffer in; /* what the worker answers */
  struct source conversation, log;
  int worker_fds[2]; /* the other ends, until INVOKE has been sent */
  pid_t worker;
  struct timer timer; /* time-out; before that, the time to look at the log */
  int64_t arrived, started;
  bool invoked, log_watched;
  bool kill_wanted, kill_sent;
  bool has_answer;

  enum outcome outcome;
  bool error;       /* `body` is an error object of Lambda's form */
  const char *body; /* valid within `answered` */
  size_t body_size;
  char content_type[128];
  struct buffer made; /* body if we made it ourselves */

  bool want_tail;
  struct buffer tail; /* the end of what it printed */
  struct buffer line; /* of what it prints */
};

/* An invocation of `f` with this header (lines "Name: value\n", may be empty; ours are added) and
 * body, both copied. NULL: no memory. */
struct request *request_new(struct function *f, const char *header, size_t header_size,
                            const char *body, size_t body_size);

/* Starts a worker for it, which answers in its time. The function counts it as running until
 * function_ended. */
void request_start(struct request *r, struct zygote *z);

/* Answers a request that was not started and frees it. */
void request_refuse(struct request *r, enum outcome outcome, const char *cause);
/* Frees one that was not started. */
void request_free(struct request *r);

/* From the zygote: the request with this id or NULL; notes; the zygote is ready for orders again;
 * or gone, with all its workers. */
struct request *request_find(uint64_t id);
void request_note_started(struct request *r, pid_t worker, uint64_t when);
void request_note_failed(struct request *r, int error);
void request_note_ended(struct request *r, int wait_status, uint64_t max_rss);
void request_resume(struct request *r);
void request_zygote_gone(struct request *r, const char *cause);

/* What it printed, base64, with the lines that Lambda adds. */
void request_tail(struct request *r, struct buffer *out);

#endif
