// SPDX-License-Identifier: MIT
#include "loop.h"

#include <assert.h>
#include <errno.h>
#include <sched.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define BATCH 128

static int epoll_fd = -1;
static bool stopped;
static int64_t now;
static int shared; /* children that have our descriptors */

/* The events being handled: loop_drop takes those of a dropped source out. */
static struct epoll_event batch[BATCH];
static int batch_next, batch_size;

/* Timers: a binary heap, the earliest first. */
static struct timer **heap;
static size_t heap_size, heap_room;

int64_t loop_clock(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000000000LL + t.tv_nsec;
}

int64_t loop_now(void) { return now; }

int loop_init(void) {
  epoll_fd = epoll_create1(EPOLL_CLOEXEC);
  if (epoll_fd < 0)
    return -errno;
  now = loop_clock();
  return 0;
}

static int control(int operation, struct source *source, uint32_t events) {
  struct epoll_event event = {.events = events, .data.ptr = source};
  return epoll_ctl(epoll_fd, operation, source->fd, &event) ? -errno : 0;
}

int loop_watch(struct source *source, uint32_t events) {
  return control(EPOLL_CTL_ADD, source, events);
}

int loop_rewatch(struct source *source, uint32_t events) {
  return control(EPOLL_CTL_MOD, source, events);
}

void loop_drop(struct source *source) {
  if (source->fd < 0)
    return;
  if (shared)
    epoll_ctl(epoll_fd, EPOLL_CTL_DEL, source->fd, NULL);
  close(source->fd); /* nobody else has this description, so the watch ends too */
  source->fd = -1;
  for (int i = batch_next; i < batch_size; i++)
    if (batch[i].data.ptr == source)
      batch[i].data.ptr = NULL;
}

void loop_shared(int change) { shared += change; }

/* ---- timers ------------------------------------------------------------------------------- */

static void put(size_t i, struct timer *timer) {
  heap[i] = timer;
  timer->place = i + 1;
}

static void sift(size_t i, struct timer *timer) {
  while (i > 0 && heap[(i - 1) / 2]->when > timer->when) {
    put(i, heap[(i - 1) / 2]);
    i = (i - 1) / 2;
  }
  for (;;) {
    size_t child = 2 * i + 1;
    if (child + 1 < heap_size && heap[child + 1]->when < heap[child]->when)
      child++;
    if (child >= heap_size || heap[child]->when >= timer->when)
      break;
    put(i, heap[child]);
    i = child;
  }
  put(i, timer);
}

void timer_set(struct timer *timer, int64_t when) {
  timer->when = when;
  if (timer->place) {
    sift(timer->place - 1, timer);
    return;
  }
  if (heap_size == heap_room) {
    heap_room = heap_room ? 2 * heap_room : 64;
    heap = realloc(heap, heap_room * sizeof(struct timer *));
    if (!heap)
      abort(); /* a server without timers could hang for ever: let its supervisor restart it */
  }
  heap_size++;
  sift(heap_size - 1, timer);
}

void timer_clear(struct timer *timer) {
  if (!timer->place)
    return;
  size_t i = timer->place - 1;
  assert(heap[i] == timer);
  timer->place = 0;
  heap_size--;
  if (i < heap_size)
    sift(i, heap[heap_size]);
}

static void fire_timers(void) {
  while (heap_size && heap[0]->when <= now) {
    struct timer *timer = heap[0];
    timer_clear(timer);
    timer->fire(timer);
  }
}

/* Milliseconds until the first timer, rounded up. */
static int patience(void) {
  if (!heap_size)
    return -1;
  int64_t left = heap[0]->when - loop_clock();
  if (left <= 0)
    return 0;
  return left > 1000000 * MS ? 1000000 : (int)((left + MS - 1) / MS);
}

void loop_stop(void) { stopped = true; }

/* Those run first who are about to give this process something to do: where they share a CPU with
 * it, it then wakes up once for several answers. If they take long, so that others would wait for
 * it, it does not let them for a while. */
#define TURNS 8
#define TURNS_NS (MS)
#define HASTE (20 * MS)

static void let_others_run(void) {
  static int64_t hasty_until;
  int64_t start = loop_clock();
  for (int i = 0; i < TURNS && start >= hasty_until; i++) {
    sched_yield();
    int64_t end = loop_clock();
    if (end - start > TURNS_NS)
      hasty_until = end + HASTE; /* which ends this, too */
  }
}

void loop_run(void (*after)(void)) {
  while (!stopped) {
    let_others_run();
    int n = epoll_wait(epoll_fd, batch, BATCH, patience());
    now = loop_clock();
    batch_size = n > 0 ? n : 0;
    for (batch_next = 0; batch_next < batch_size;) {
      struct epoll_event *event = &batch[batch_next++];
      struct source *source = event->data.ptr;
      if (source)
        source->ready(source, event->events);
    }
    fire_timers();
    after();
  }
}
