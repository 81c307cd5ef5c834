/* SPDX-License-Identifier: MIT */
/*
 * Who shares a segment, and the thaw thread: a host thread that thaws segments soon after their
 * second last sharer has gone, so that the next fork finds them live. It works in small parts and
 * sleeps as long as it works. A region that forks all the time is left alone, and so is a small
 * segment with few private pages: fork itself copies those (seg_share.c). Before that, while there
 * are others, it claims what the region that has forked writes all over (seg_claim.c). And for a
 * region that has grown large and not forked yet, it makes ready what the first fork wants.
 *
 * A queued segment is not freed, as the queue has a reference. Its sharer is not freed while `busy`
 * points to it: before a region leaves its segments, thaw_keep_off sees to that.
 */
#include "plat/hosted/linux.h"
#include "plat/hosted/seg.h"
#include "plat/hosted/written.h"

#define QUIET_NS 2000000     /* without a fork, before thawing starts */
#define BUSY_GAP_NS 20000000 /* forks closer than this: the quiet time is twice their distance */
#define WORK_NS 400000       /* at a time, before a break */
#define POLL_NS 1000000      /* between looks at a region that still forks */
#define PAUSE_MIN_NS 4000000 /* and at a segment that is not worth it yet: from this to that */
#define PAUSE_MAX_NS 512000000
#define CLAIM_LOOK_NS 3000000   /* between looks at page faults while others share a segment */
#define CLAIM_FAULT_NS 125000   /* one page fault in that time is often */
#define CLAIM_WORK_NS 1000000   /* copying at a time, before */
#define CLAIM_PAUSE_NS 300000   /* a break */
#define GROWTH_LOOK_NS 16000000 /* between looks at a large segment that grows: from this on */
#define LINGER 25               /* rounds without work before the thread sleeps until woken */

/* For sharers and owners of all segments, dying of all regions, and what follows. */
static struct spin lock;
static struct list queue = LIST_INIT(queue); /* segments with one sharer; each has a reference */
static const struct region *busy;            /* the thaw thread uses it */
static struct hostmutex working;             /* held while `busy` is set */
static u32 awake;                            /* 0: the thread sleeps on this futex; atomic */

/* ---- sharers --------------------------------------------------------------------------------- */

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

static void wake(void) {
  if (__atomic_exchange_n(&awake, 1, __ATOMIC_SEQ_CST) == 0)
    lx3(futex, &awake, LX_FUTEX_WAKE_PRIVATE, 1);
}

void seg_set_writer(struct seg *s, struct region *r) {
  spin_lock(&lock);
  s->writer = r;
  spin_unlock(&lock);
}

void seg_watch(struct seg *s) {
  spin_lock(&lock);
  bool fresh = s->writer && !s->queued;
  if (fresh) {
    enqueue(s);
    s->look_at = plat_now() + CLAIM_LOOK_NS;
  }
  spin_unlock(&lock);
  if (fresh)
    wake();
}

void seg_announce(struct seg *s) {
  spin_lock(&lock);
  if (!s->queued) {
    enqueue(s);
    s->look_at = plat_now() + GROWTH_LOOK_NS;
  }
  spin_unlock(&lock);
  wake();
}

bool seg_unshare_quietly(struct seg *s, struct region *r) {
  spin_lock(&lock);
  if (s->writer == r)
    s->writer = NULL;
  u32 left = __atomic_sub_fetch(&s->sharers, 1, __ATOMIC_SEQ_CST);
  s->owners -= (u64)r;
  bool now = left == 1 && (!s->queued || s->look_at);
  s->look_at = 0;
  if (left == 1 && !s->queued)
    enqueue(s);
  spin_unlock(&lock);
  if (now)
    wake();
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

/* ---- the thread ------------------------------------------------------------------------------ */

static u64 quiet_time(const struct region *r) {
  return r->fork_gap < BUSY_GAP_NS ? QUIET_NS + 2 * r->fork_gap : QUIET_NS;
}

/* Has r not forked for a while? Its lock is held. */
static bool is_quiet(const struct region *r, struct seg *s) {
  u64 now = plat_now();
  if (s->seen_fork != r->forked_at) {
    s->seen_fork = r->forked_at;
    s->quiet_since = now;
    s->pause = 0;
  }
  return now - s->quiet_since >= quiet_time(r);
}

enum outcome { DONE, LATER, WORKED };

static u64 longer_pause(struct seg *s, u64 first) {
  s->pause = s->pause ? min_u64(2 * s->pause, PAUSE_MAX_NS) : first;
  return s->pause;
}

/* Live s, which has been announced: anew as long as it grows. */
static enum outcome prepare_first(struct region *r, struct seg *s, u64 *pause) {
  if (r->forked_at || s->seen_top == s->top)
    return DONE;
  if (extents_reserve(&r->map, 4) == 0)
    seg_prepare_fork(r, s);
  s->seen_top = s->top;
  *pause = longer_pause(s, GROWTH_LOOK_NS);
  return LATER;
}

/* One part of r, which s told about. Its lock is held. LATER: *pause is how much. */
static enum outcome thaw_part(struct region *r, struct seg *s, u64 *pause) {
  bool member = false;
  *pause = POLL_NS;
  if (!is_quiet(r, s))
    return LATER;
  int left = seg_thaw_step(r, THAW_PART);
  if (left > 0)
    return WORKED;
  for (u32 i = 0; i < r->n_segs; i++)
    member |= r->segs[i] == s;
  if (left < 0 || !member) /* out of memory: the next fork will try */
    return DONE;
  if (!s->frozen)
    return prepare_first(r, s, pause);
  /* Little of it is private now, but its µprocess may write more. */
  *pause = longer_pause(s, PAUSE_MIN_NS);
  return LATER;
}

/* Some parts. */
static enum outcome thaw_some(struct region *r, struct seg *s, u64 *pause) {
  u64 until = plat_now() + WORK_NS;
  enum outcome o;
  bool worked = false;
  do {
    hostmutex_lock(&r->lock);
    o = thaw_part(r, s, pause);
    hostmutex_unlock(&r->lock);
    worked |= o == WORKED;
  } while (o == WORKED && plat_now() < until);
  if (o == WORKED)
    *pause = 0;
  return o == LATER && worked ? WORKED : o;
}

/* ---- claiming -------------------------------------------------------------------------------- */

static void count_faults(struct seg *s) {
  s->claim_faults = host_faults();
  s->claim_since = plat_now();
}

/* Are there so many page faults that it pays? */
static bool is_written_fast(struct seg *s) {
  u64 faults = s->claim_faults, since = s->claim_since;
  count_faults(s);
  return (s->claim_faults - faults) * CLAIM_FAULT_NS > s->claim_since - since;
}

static bool has_forked_again(struct region *r, struct seg *s) {
  hostmutex_lock(&r->lock);
  bool again = s->claim_fork != r->forked_at;
  s->claim_fork = r->forked_at;
  hostmutex_unlock(&r->lock);
  return again;
}

static bool claim_part(struct region *r, struct seg *s) {
  struct claim c;
  hostmutex_lock(&r->lock);
  bool more = seg_claim_step(r, s, &s->claim_at, &c);
  hostmutex_unlock(&r->lock);
  seg_claim_fill(&c);
  return more;
}

/* Some parts of s, which r shares with others; all of them again and again while r writes much.
   The pause until the next ones. */
static u64 claim_some(struct region *r, struct seg *s) {
  u64 until = plat_now() + CLAIM_WORK_NS;
  bool more = true;
  if (has_forked_again(r, s)) {
    s->claim_at = UINT64_MAX;
    count_faults(s);
    return CLAIM_LOOK_NS;
  }
  if (s->claim_at == UINT64_MAX) {
    if (!is_written_fast(s))
      return CLAIM_LOOK_NS;
    s->claim_at = 0;
  }
  do
    more = claim_part(r, s);
  while (more && plat_now() < until);
  if (more)
    return CLAIM_PAUSE_NS;
  s->claim_at = UINT64_MAX;
  count_faults(s); /* copying has added some */
  return CLAIM_LOOK_NS;
}

/* ---- the queue ------------------------------------------------------------------------------- */

/* Takes the first segment that is due out of the queue, with the queue's reference; *r: its only
   sharer, if it is to be thawed, or its writer if it is *shared. */
static struct seg *pop(struct region **r, bool *shared) {
  struct seg *s, *found = NULL;
  u64 now = plat_now();
  *r = NULL;
  spin_lock(&lock);
  list_for_each(s, &queue, thaw_node) {
    if (s->look_at > now)
      continue;
    found = s;
    list_remove(&s->thaw_node);
    s->queued = false;
    *shared = s->sharers > 1;
    struct region *owner = *shared ? s->writer : (struct region *)s->owners;
    if (s->sharers && owner && !owner->dying)
      busy = *r = owner;
    break;
  }
  spin_unlock(&lock);
  return found;
}

static void finished(struct seg *s, bool again, u64 pause) {
  u64 at = pause ? plat_now() + pause : 0;
  spin_lock(&lock);
  busy = NULL;
  if (again && !s->queued) {
    enqueue(s);
    s->look_at = at;
  }
  spin_unlock(&lock);
  seg_put(s);
}

bool thaw_round(void) {
  struct region *r;
  struct seg *s;
  bool worked = false;
  do {
    hostmutex_lock(&working);
    bool shared;
    s = pop(&r, &shared);
    if (s) {
      u64 pause = 0;
      enum outcome o = r && !shared ? thaw_some(r, s, &pause) : DONE;
      if (r && shared) {
        o = LATER;
        pause = claim_some(r, s);
      }
      worked = o == WORKED;
      finished(s, o != DONE, pause);
    }
    hostmutex_unlock(&working);
  } while (s && !worked);
  return worked;
}

/* When the queue must be looked at again; UINT64_MAX: it is empty. *claims: only shared segments
   are in it. */
static u64 next_look(bool *claims) {
  struct seg *s;
  u64 next = UINT64_MAX;
  spin_lock(&lock);
  *claims = !list_empty(&queue);
  list_for_each(s, &queue, thaw_node) {
    next = min_u64(next, s->look_at);
    *claims = *claims && s->sharers > 1;
  }
  spin_unlock(&lock);
  return next;
}

static void sleep_for(u64 ns) {
  struct lx_timespec ts = {0, (i64)ns};
  u32 never = 1;
  lx4(futex, &never, LX_FUTEX_WAIT_PRIVATE, 1, &ts);
}

/* Sleeps until then, or until a segment is queued. */
static void sleep_until(u64 then) {
  __atomic_store_n(&awake, 0, __ATOMIC_SEQ_CST);
  u64 now = plat_now();
  bool claims;
  then = min_u64(then, next_look(&claims)); /* what was queued just before */
  if (then == UINT64_MAX)
    lx4(futex, &awake, LX_FUTEX_WAIT_PRIVATE, 0, NULL);
  else if (then > now) {
    struct lx_timespec ts = {(i64)((then - now) / 1000000000u), (i64)((then - now) % 1000000000u)};
    lx4(futex, &awake, LX_FUTEX_WAIT_PRIVATE, 0, &ts);
  }
  __atomic_store_n(&awake, 1, __ATOMIC_SEQ_CST);
}

_Noreturn void thaw_run(void) {
  unsigned idle = 0;
  for (;;) {
    bool worked = thaw_round();
    bool claims;
    u64 next = next_look(&claims);
    idle = worked || next < plat_now() + PAUSE_MIN_NS ? 0 : idle + 1;
    if (idle > LINGER || (claims && !worked))
      sleep_until(next);
    else
      sleep_for(worked ? WORK_NS : POLL_NS);
  }
}
