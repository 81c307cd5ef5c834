// SPDX-License-Identifier: MIT
#include "function.h"
#include "log.h"
#include "request.h"
#include "server.h"
#include "zygote.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BACKOFF_FIRST (100 * MS)
#define BACKOFF_LAST (30000 * MS)

struct function *functions;

struct function *function_find(const char *name, size_t size) {
  for (struct function *f = functions; f; f = f->next)
    if (!f->removed && strlen(f->config->name) == size && memcmp(f->config->name, name, size) == 0)
      return f;
  return NULL;
}

/* ---- the queue ---------------------------------------------------------------------------- */

static void enqueue(struct function *f, struct request *r) {
  r->next = NULL;
  *f->queue_end = r;
  f->queue_end = &r->next;
  f->queued++;
}

static struct request *dequeue(struct function *f) {
  struct request *r = f->queue;
  f->queue = r->next;
  if (!f->queue)
    f->queue_end = &f->queue;
  f->queued--;
  return r;
}

static bool can_start(const struct function *f) {
  return f->current && f->current->state == ZYGOTE_WARM &&
         f->running < (unsigned)f->current->config->concurrency;
}

static void start(struct function *f, struct request *r) {
  f->running++;
  request_start(r, f->current);
}

void function_pump(struct function *f) {
  if (f->pumping) /* a request that could not start has ended: the loop below goes on */
    return;
  f->pumping = true;
  while (f->queue && can_start(f))
    start(f, dequeue(f));
  f->pumping = false;
}

static void refuse_all(struct function *f, const char *cause) {
  while (f->queue)
    request_refuse(dequeue(f), OUTCOME_NO_ZYGOTE, cause);
}

enum outcome function_submit(struct function *f, struct request *r) {
  if (!f->queue && can_start(f)) {
    start(f, r);
  } else if (f->retry.place || (!f->current && !f->coming)) {
    char text[320];
    snprintf(text, sizeof text, "function %s does not start: %s", f->config->name, f->cause);
    request_refuse(r, OUTCOME_NO_ZYGOTE, text);
    return OUTCOME_NO_ZYGOTE;
  } else if (f->queued >= (unsigned)f->config->queue) {
    request_refuse(r, OUTCOME_FULL, "Rate Exceeded.");
    return OUTCOME_FULL;
  } else {
    enqueue(f, r);
  }
  return OUTCOME_OK;
}

void function_cancel(struct function *f, struct request *r) {
  for (struct request **link = &f->queue; *link; link = &(*link)->next)
    if (*link == r) {
      *link = r->next;
      if (!*link)
        f->queue_end = link;
      f->queued--;
      break;
    }
  f->metrics.outcomes[OUTCOME_CANCELLED]++;
  request_free(r);
}

/* Lets a removed function go when nothing of it is left; it must not be used behind this. */
static void settle(struct function *f) {
  if (f->removed && !f->queue && !f->running && f->current && !f->pumping)
    zygote_drain(f->current);
  server_check();
  if (!f->removed || f->zygotes || f->running || f->queue || f->pumping)
    return;
  for (struct function **link = &functions; *link; link = &(*link)->next)
    if (*link == f) {
      *link = f->next;
      break;
    }
  timer_clear(&f->retry);
  function_config_release(f->config);
  free(f);
}

void function_ended(struct function *f) {
  f->running--;
  function_pump(f);
  settle(f);
}

/* ---- deployment --------------------------------------------------------------------------- */

void waiter_leave(struct waiter *w) {
  if (!w->link)
    return;
  *w->link = w->next;
  if (w->next)
    w->next->link = w->link;
  w->link = NULL;
}

/* Those that wait now: whoever is told may ask for another deployment at once. */
static void tell_waiters(struct function *f, const char *cause) {
  struct waiter *told = f->waiters;
  f->waiters = NULL;
  if (told)
    told->link = &told;
  while (told) {
    struct waiter *w = told;
    waiter_leave(w);
    w->deployed(w, cause);
  }
}

static void retry(struct timer *timer);

/* Starts the zygote that is to take over. */
static void warm(struct function *f) {
  timer_clear(&f->retry);
  f->coming = zygote_start(f, f->config);
  if (f->coming)
    return;
  snprintf(f->cause, sizeof f->cause, "cannot start a process: %s", strerror(errno));
  function_zygote_ended(f, NULL, f->cause);
}

static void retry(struct timer *timer) { warm(container_of(timer, struct function, retry)); }

/* Also one that has been removed and finishes what it has: two of a name there are never. */
static struct function *find_any(const char *name) {
  for (struct function *f = functions; f; f = f->next)
    if (strcmp(f->config->name, name) == 0)
      return f;
  return NULL;
}

struct function *function_make(struct function_config *config) {
  struct function *f = find_any(config->name);
  if (f)
    return f;
  f = calloc(1, sizeof *f);
  if (!f)
    return NULL;
  f->config = function_config_hold(config);
  f->queue_end = &f->queue;
  f->retry.fire = retry;
  f->backoff = BACKOFF_FIRST;
  struct function **link = &functions;
  while (*link)
    link = &(*link)->next;
  *link = f;
  return f;
}

void function_deploy(struct function *f, struct function_config *config, struct waiter *waiter) {
  function_config_hold(config);
  function_config_release(f->config);
  f->config = config;
  f->removed = false;
  f->backoff = BACKOFF_FIRST;
  if (waiter) {
    waiter->next = f->waiters;
    waiter->link = &f->waiters;
    if (waiter->next)
      waiter->next->link = &waiter->next;
    f->waiters = waiter;
  }
  struct zygote *superseded = f->coming;
  f->coming = NULL;
  if (superseded)
    zygote_kill(superseded); /* its end is no failure any more */
  f->metrics.deploys++;
  warm(f);
}

/* Whether there is a zygote for what waits, now or soon. One that was told to finish is none: its
 * function had been removed and is there again. */
static bool served(const struct function *f) {
  return f->coming || (f->current && !f->current->drained);
}

static void remove_function(struct function *f) {
  log_server(LOG_INFO, f->config->name, "removed");
  f->removed = true;
  timer_clear(&f->retry);
  tell_waiters(f, "the function was removed");
  if (f->coming && f->current && !f->current->drained) {
    struct zygote *z = f->coming;
    f->coming = NULL;
    zygote_kill(z);
  }
  if (!served(f))
    refuse_all(f, "the function was removed");
  settle(f);
}

void functions_configure(const struct config *config) {
  for (struct function *f = functions, *next; f; f = next) {
    bool there = false;
    next = f->next;
    for (size_t i = 0; i < config->function_count; i++)
      there = there || strcmp(config->functions[i]->name, f->config->name) == 0;
    if (!there && !f->removed)
      remove_function(f);
  }
  for (size_t i = 0; i < config->function_count; i++) {
    struct function *f = function_make(config->functions[i]);
    if (f)
      function_deploy(f, config->functions[i], NULL);
    else
      log_server(LOG_ERROR, config->functions[i]->name, "out of memory");
  }
}

void function_zygote_ready(struct function *f, struct zygote *z) {
  if (z != f->coming)
    return;
  struct zygote *old = f->current;
  f->current = z;
  f->coming = NULL;
  f->backoff = BACKOFF_FIRST;
  *f->cause = 0;
  if (old)
    zygote_drain(old);
  tell_waiters(f, NULL);
  function_pump(f);
  settle(f);
}

/* None serves and the last attempt has failed: the next one is made later. */
static void back_off(struct function *f) {
  char text[320];
  snprintf(text, sizeof text, "function %s does not start: %s", f->config->name, f->cause);
  if (!f->removed && !server_ending()) {
    timer_set(&f->retry, loop_clock() + f->backoff);
    f->backoff = 2 * f->backoff < BACKOFF_LAST ? 2 * f->backoff : BACKOFF_LAST;
  }
  refuse_all(f, text); /* behind that: who is told may ask again at once */
}

void function_zygote_ended(struct function *f, struct zygote *z, const char *cause) {
  if (z && z->drained) {
    if (z == f->current)
      f->current = NULL;
    if (z == f->coming)
      f->coming = NULL;
  } else if (z == f->coming) {
    f->coming = NULL;
    f->metrics.zygote_failures++;
    log_server(LOG_ERROR, f->config->name, "zygote %s", cause);
    if (cause != f->cause)
      snprintf(f->cause, sizeof f->cause, "%s", cause);
    if (!served(f))
      back_off(f);
    tell_waiters(f, cause);
  } else if (z && z == f->current) {
    /* The one that served has died of its own accord: a new one at once, if it lasts. */
    f->current = NULL;
    f->metrics.zygote_failures++;
    log_server(LOG_ERROR, f->config->name, "zygote %s", cause);
    snprintf(f->cause, sizeof f->cause, "%s", cause);
    bool lasted = loop_clock() - z->born > 1000 * MS;
    if (!f->coming && (f->removed || server_ending() || !lasted))
      back_off(f);
    else if (!f->coming)
      warm(f);
  }
  settle(f);
}

void functions_stop(void) {
  for (struct function *f = functions; f; f = f->next)
    timer_clear(&f->retry);
}

bool functions_idle(void) {
  for (struct function *f = functions; f; f = f->next)
    if (f->running || f->queue)
      return false;
  return true;
}
