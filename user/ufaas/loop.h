// SPDX-License-Identifier: MIT
/* The event loop: descriptors that are ready, and timers. One thread; nothing here blocks but
 * loop_run. */
#ifndef UFAAS_LOOP_H
#define UFAAS_LOOP_H

#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>

/* A watched descriptor; part of the object it belongs to. */
struct source {
  int fd;                                                /* -1: none */
  void (*ready)(struct source *source, uint32_t events); /* EPOLL* of this moment */
};

/* Part of the object it belongs to; all zero but `fire` when new. */
struct timer {
  int64_t when;                      /* loop_now that it waits for */
  size_t place;                      /* 1 + index in the heap; 0: not set */
  void (*fire)(struct timer *timer); /* no longer set when called */
};

#define MS 1000000LL /* loop_now's unit is the nanosecond */

/* Must be called first. 0 or -errno. */
int loop_init(void);

/* Handles events until loop_stop; `after` is called whenever all that was ready has been handled.
 */
void loop_run(void (*after)(void));
void loop_stop(void);

/* Time of the monotonic clock when the events at hand were fetched. */
int64_t loop_now(void);
/* The same read anew, for measurements. */
int64_t loop_clock(void);

/* Watches source->fd for `events`, which the descriptor's owner may change later. 0 or -errno. */
int loop_watch(struct source *source, uint32_t events);
int loop_rewatch(struct source *source, uint32_t events);

/* Closes the descriptor if there is one; `ready` is not called any more, even if an event is at
 * hand, so the object may be freed. */
void loop_drop(struct source *source);

/* A child that was forked shares all descriptors until it executes another program: +1 when it is
 * forked, -1 when it has. Meanwhile closing one does not end its watch, so loop_drop does. */
void loop_shared(int change);

/* (Re)sets a timer; or clears it, if it is set. */
void timer_set(struct timer *timer, int64_t when);
void timer_clear(struct timer *timer);

/* The object that has `pointer` as its member. */
#define container_of(pointer, type, member)                                                        \
  ((type *)((char *)(pointer)-offsetof(type, member))) /* NOLINT(bugprone-casting-through-void) */

#endif
