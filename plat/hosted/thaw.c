/* SPDX-License-Identifier: MIT */
/*
 * Who shares a segment, and the thaw thread: a host thread that thaws segments soon after their
 * second last sharer has gone, so that the next fork finds them live. It works in small parts and
 * sleeps as long as it works. A region that forks all the time is left alone: few of its pages
 * become private between two forks, so that fork itself deals with them (seg_fork.c).
 */
#include "plat/hosted/linux.h"
#include "plat/hosted/seg.h"

#define QUIET_NS 2000000     /* without a fork, before thawing starts */
#define BUSY_GAP_NS 20000000 /* forks closer than this: the quiet time is twice their distance */
#define WORK_NS 400000       /* at a time, before a break */
#define POLL_NS 1000000      /* between looks at segments that cannot be thawed yet */
#define LINGER 25            /* rounds without work before the thread sleeps until woken */

static struct spin
    lock; /* sharers and owners of all segments, dying of all regions, the rest here */
static struct list queue = LIST_INIT(queue); /* segments with one sharer; each has a reference */
static const struct region *busy;            /* the thaw thread uses it */
static struct hostmutex working;             /* held while `busy` is set */
static u32 awake;                            /* 0: the thread sleeps on this futex; atomic */

/* ---- sharers -----------------------------------------------------------------------------------
 */

void seg_share(struct seg *s, struct region *r) {
  spin_lock(&lock);
  __atomic_add_fetch(&s->sharers, 1, __ATOMIC_SEQ_CST);
  s->owners += (u64)r;
  spin_unlock(&lock);
}

static void enqueue(struct seg *s) {
  seg_get(s);
  s->queued = true;
  list_push_back(&queue, &s->thaw_node);
}

bool seg_unshare_quietly(struct seg *s, struct region *r) {
  spin_lock(&lock);
  u32 left = __atomic_sub_fetch(&s->sharers, 1, __ATOMIC_SEQ_CST);
  s->owners -= (u64)r;
  bool wake = left == 1 && !s->queued;
  if (wake)
    enqueue(s);
  spin_unlock(&lock);
  if (wake && __atomic_exchange_n(&awake, 1, __ATOMIC_SEQ_CST) == 0)
    lx3(futex, &awake, LX_FUTEX_WAKE_PRIVATE, 1);
  return left == 0;
}

void seg_unshare(struct seg *s, struct region *r) {
  if (seg_unshare_quietly(s, r))
    pool_forget(s);
}

void thaw_keep_off(struct region *r) {
  spin_lock(&lock);
  r->dying = true;
  bool wait = busy == r;
  spin_unlock(&lock);
  if (wait) { /* it ends soon, and does not begin again */
    hostmutex_lock(&working);
    hostmutex_unlock(&working);
  }
}

/* ---- the thread --------------------------------------------------------------------------------
 */

static u64 quiet_time(const struct region *r) {
  return r->fork_gap < BUSY_GAP_NS ? QUIET_NS + 2 * r->fork_gap : QUIET_NS;
}

/* Has r not forked for a while? Its lock is held. */
static bool is_quiet(const struct region *r, struct seg *s) {
  u64 now = plat_now();
  if (s->seen_fork != r->forked_at) {
    s->seen_fork = r->forked_at;
    s->quiet_since = now;
  }
  return now - s->quiet_since >= quiet_time(r);
}

enum outcome { DONE, LATER, WORKED };

/* Some parts of r, which s told about. */
static enum outcome thaw_some(struct region *r, struct seg *s) {
  u64 until = plat_now() + WORK_NS;
  enum outcome o = LATER;
  do {
    hostmutex_lock(&r->lock);
    bool quiet = is_quiet(r, s);
    int left = quiet ? seg_thaw_step(r, THAW_PART) : 0;
    hostmutex_unlock(&r->lock);
    if (!quiet)
      return o;
    if (left <= 0)
      return DONE; /* or out of memory: the next fork will try */
    o = WORKED;
  } while (plat_now() < until);
  return o;
}

/* Takes the first segment of the queue, with the queue's reference; *r: its only sharer, if it is
   to be thawed. */
static struct seg *pop(struct region **r) {
  struct seg *s = NULL;
  *r = NULL;
  spin_lock(&lock);
  if (!list_empty(&queue)) {
    s = list_first(&queue, struct seg, thaw_node);
    list_remove(&s->thaw_node);
    s->queued = false;
    struct region *owner = (struct region *)s->owners;
    if (s->sharers == 1 && !owner->dying)
      busy = *r = owner;
  }
  spin_unlock(&lock);
  return s;
}

static void push_back(struct seg *s, bool again) {
  spin_lock(&lock);
  busy = NULL;
  if (again && !s->queued)
    enqueue(s);
  spin_unlock(&lock);
  seg_put(s);
}

bool thaw_round(void) {
  struct region *r;
  struct seg *s, *first = NULL;
  bool worked = false;
  for (;;) {
    hostmutex_lock(&working);
    s = pop(&r);
    if (s) {
      enum outcome o = r ? thaw_some(r, s) : DONE;
      bool last = s == first;
      if (!first && o != DONE)
        first = s;
      worked |= o == WORKED;
      push_back(s, o != DONE);
      s = last ? NULL : s;
    }
    hostmutex_unlock(&working);
    if (!s || worked)
      return worked;
  }
}

static void sleep_for(u64 ns) {
  struct lx_timespec ts = {0, (i64)ns};
  u32 never = 1;
  lx4(futex, &never, LX_FUTEX_WAIT_PRIVATE, 1, &ts);
}

static bool queue_is_empty(void) {
  spin_lock(&lock);
  bool empty = list_empty(&queue);
  spin_unlock(&lock);
  return empty;
}

static void sleep_until_woken(void) {
  __atomic_store_n(&awake, 0, __ATOMIC_SEQ_CST);
  while (queue_is_empty() && !__atomic_load_n(&awake, __ATOMIC_SEQ_CST))
    lx4(futex, &awake, LX_FUTEX_WAIT_PRIVATE, 0, NULL);
  __atomic_store_n(&awake, 1, __ATOMIC_SEQ_CST);
}

_Noreturn void thaw_run(void) {
  unsigned idle = 0;
  for (;;) {
    bool worked = thaw_round();
    idle = queue_is_empty() ? idle + 1 : 0;
    if (idle > LINGER) {
      sleep_until_woken();
      idle = 0;
    }
    sleep_for(worked ? WORK_NS : POLL_NS);
  }
}
