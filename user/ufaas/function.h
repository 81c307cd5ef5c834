// SPDX-License-Identifier: MIT
/*
 * Functions: what is deployed under a name. A function has one zygote that serves (`current`), may
 * have one that is being warmed to take over (`coming`), and others that finish what they began.
 * Requests that cannot start at once wait in its queue.
 */
#ifndef UFAAS_FUNCTION_H
#define UFAAS_FUNCTION_H

#include "config.h"
#include "loop.h"
#include "metrics.h"

#include <stdbool.h>

struct request;
struct zygote;

/* Somebody who waits for a deployment; part of his object. */
struct waiter {
  struct waiter *next, **link;                                /* link NULL: not waiting */
  void (*deployed)(struct waiter *waiter, const char *cause); /* cause NULL: it serves */
};

struct function {
  struct function *next;
  struct function_config *config; /* the newest that was asked for */
  struct zygote *current, *coming;
  unsigned zygotes; /* of any state */
  struct request *queue, **queue_end;
  unsigned queued, running;
  bool pumping;       /* in function_pump */
  bool removed;       /* gone from the configuration: finishes what it has */
  struct timer retry; /* set: no zygote serves, another is tried then */
  int64_t backoff;    /* ns */
  char cause[256];    /* why the last zygote failed */
  struct waiter *waiters;
  struct function_metrics metrics;
};

/* All functions, also those that are being removed. */
extern struct function *functions;

/* The one that serves requests under this name, or NULL. */
struct function *function_find(const char *name, size_t size);

/* Makes functions be as configured: new ones start, those that are not there any more finish, the
 * others get a new zygote each. Takes references to what it needs of `config`. */
void functions_configure(const struct config *config);

/* Warms a zygote of `config` and lets it take over from the current one (if that works: the old one
 * goes on otherwise). `waiter` is told; may be NULL. Takes a reference. */
void function_deploy(struct function *f, struct function_config *config, struct waiter *waiter);
/* The function `config->name`, made if it is new; to be deployed. NULL: no memory. */
struct function *function_make(struct function_config *config);
void waiter_leave(struct waiter *waiter);

/* Starts, queues or refuses a request. OUTCOME_OK, or why it was refused: then it has been answered
 * and freed. */
enum outcome function_submit(struct function *f, struct request *r);
/* A queued request is not wanted any more: it is freed. */
void function_cancel(struct function *f, struct request *r);
/* One that was started has ended: the next may begin. */
void function_ended(struct function *f);
/* Starts what is queued as far as it may. */
void function_pump(struct function *f);

/* From its zygotes. */
void function_zygote_ready(struct function *f, struct zygote *z);
void function_zygote_ended(struct function *f, struct zygote *z, const char *cause);

/* The server is ending: no more retries. */
void functions_stop(void);
/* Whether nothing runs or waits. */
bool functions_idle(void);

#endif
