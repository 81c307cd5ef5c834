/* SPDX-License-Identifier: MIT */
/*
 * Events name a slot and its generation, not an object: one that was fetched on another vCPU just
 * before hostio_remove finds the slot empty or reused and is dropped.
 */
#include "plat/hosted/hostio.h"
#include "kernel/errno.h"
#include "plat/hosted/behind.h"
#include "plat/hosted/cpu.h"
#include "plat/hosted/hosted.h"
#include "plat/hosted/together.h"

#define SLOTS_PER_CHUNK 2048
#define MAX_CHUNKS 512
#define EVENTS_AT_ONCE 64

struct slot {
  struct spin lock;
  u32 generation;
  struct hostio *h;
  u32 next_free; /* slot + 1 */
};

/* Where a vCPU listens. */
struct listener {
  int epfd;
  u32 members; /* atomic */
  u64 looked;  /* time stamp of the last look, by whomever; atomic */
} __attribute__((aligned(64)));

static struct listener listeners[MAX_CPUS];
static u32 wait_nr = LX_epoll_pwait2;
static struct spin slots_lock;
static struct slot *chunks[MAX_CHUNKS];
static u32 nslots, first_free; /* first_free: slot + 1, 0: none */

int hostio_init(unsigned ncpus) {
  for (unsigned i = 0; i < ncpus; i++) {
    i64 fd = lx_call6(291 /* epoll_create1 */, 02000000 /* CLOEXEC */, 0, 0, 0, 0, 0);
    if (fd < 0)
      return (int)fd;
    listeners[i].epfd = (int)fd;
  }
  struct lx_epoll_event ev;
  struct lx_timespec zero = {0, 0};
  if (lx6(epoll_pwait2, listeners[0].epfd, &ev, 1, &zero, NULL, 0) == -ENOSYS)
    wait_nr = LX_epoll_pwait;
  return 0;
}

static struct slot *slot_at(u32 i) { return &chunks[i / SLOTS_PER_CHUNK][i % SLOTS_PER_CHUNK]; }

static bool slot_take(u32 *out) {
  bool ok = true;
  spin_lock(&slots_lock);
  if (first_free) {
    *out = first_free - 1;
    first_free = slot_at(*out)->next_free;
  } else {
    u32 c = nslots / SLOTS_PER_CHUNK;
    if (c < MAX_CHUNKS && !chunks[c])
      chunks[c] = plat_pages_alloc(SLOTS_PER_CHUNK * sizeof(struct slot) / PAGE_SIZE, PAGE_SIZE);
    ok = c < MAX_CHUNKS && chunks[c];
    if (ok)
      *out = nslots++;
  }
  spin_unlock(&slots_lock);
  return ok;
}

static void slot_release(u32 i) {
  spin_lock(&slots_lock);
  slot_at(i)->next_free = first_free;
  first_free = i + 1;
  spin_unlock(&slots_lock);
}

/* Before there are vCPUs everything belongs to the first. */
static u32 here(void) {
  struct vcpu *v = vcpu_self();
  return v ? v->id : 0;
}

static i64 listen_for(struct hostio *h, u32 vcpu) {
  struct lx_epoll_event ev = {POLLIN | POLLPRI | POLLOUT | POLLRDHUP | LX_EPOLLET, hostio_id(h)};
  i64 err = lx4(epoll_ctl, listeners[vcpu].epfd, LX_EPOLL_CTL_ADD, h->fd, &ev);
  if (err == 0)
    __atomic_add_fetch(&listeners[vcpu].members, 1, __ATOMIC_RELAXED);
  return err;
}

int hostio_add(struct hostio *h, int fd, struct waitq *q) {
  h->fd = fd;
  h->q = q;
  h->home = here();
  h->strays = 0;
  if (!slot_take(&h->slot))
    return -ENOMEM;
  struct slot *s = slot_at(h->slot);
  spin_lock(&s->lock);
  h->generation = ++s->generation;
  s->h = h;
  spin_unlock(&s->lock);
  i64 err = listen_for(h, h->home);
  if (err == 0)
    return 0;
  s->h = NULL;
  slot_release(h->slot);
  h->fd = -1;
  return err == -EPERM ? -EPERM : -ENOMEM;
}

void hostio_close(struct hostio *h) {
  if (h->fd < 0)
    return;
  struct slot *s = slot_at(h->slot);
  spin_lock(&s->lock);
  s->h = NULL;
  spin_unlock(&s->lock);
  __atomic_sub_fetch(&listeners[h->home].members, 1, __ATOMIC_RELAXED);
  lx1(close, h->fd); /* which ends its registration, too */
  slot_release(h->slot);
  h->fd = -1;
}

struct hostio *hostio_lock(u64 id) {
  struct slot *s = slot_at((u32)(id >> 32));
  spin_lock(&s->lock);
  if (likely(s->h && s->generation == (u32)id))
    return s->h;
  spin_unlock(&s->lock);
  return NULL;
}

void hostio_unlock(struct hostio *h) { spin_unlock(&slot_at(h->slot)->lock); }

/* Registers h here. What is ready now is told again, so nothing is lost; it may be told twice. */
static void move_here(struct hostio *h, u32 vcpu) {
  struct slot *s = slot_at(h->slot);
  struct lx_epoll_event none = {0, 0};
  spin_lock(&s->lock);
  u32 old = h->home;
  if (s->h == h && old != vcpu && listen_for(h, vcpu) == 0) {
    lx4(epoll_ctl, listeners[old].epfd, LX_EPOLL_CTL_DEL, h->fd, &none);
    __atomic_sub_fetch(&listeners[old].members, 1, __ATOMIC_RELAXED);
    __atomic_store_n(&h->home, vcpu, __ATOMIC_RELAXED);
  }
  spin_unlock(&s->lock);
}

void hostio_used(struct hostio *h, u32 patience) {
  u32 vcpu = here();
  if (likely(__atomic_load_n(&h->home, __ATOMIC_RELAXED) == vcpu)) {
    if (unlikely(h->strays))
      h->strays = 0;
  } else if (++h->strays >= patience) {
    h->strays = 0;
    move_here(h, vcpu);
  }
}

/* Of those that want one to be woken for an event (EPOLLEXCLUSIVE) one is, if it can be told which:
   who waits for room to write must not lose it to one that reads. A listener has no such room. */
static void wake(struct hostio *h, u32 events) {
  waitq_wake(h->q, events & POLLOUT ? 0 : 1, events, 0);
}

static void deliver(const struct lx_epoll_event *ev) {
  struct hostio *h = hostio_lock(ev->data);
  if (!h)
    return;
  __atomic_or_fetch(&h->ready, ev->events, __ATOMIC_SEQ_CST);
  wake(h, ev->events);
  hostio_unlock(h);
}

/* What the host says of h now, of `events` and what is always told. */
static u32 ask(const struct hostio *h, u32 events) {
  struct lx_pollfd p = {h->fd, (i16)events, 0};
  struct lx_timespec zero = {0, 0};
  return LX_RETRY(lx5(ppoll, &p, 1, &zero, NULL, 0)) > 0 ? (u32)(u16)p.revents : 0;
}

/* A thread may have gone to sleep since the bits were cleared. */
static void found(struct hostio *h, u32 bits) {
  if (!bits)
    return;
  __atomic_or_fetch(&h->ready, bits, __ATOMIC_SEQ_CST);
  wake(h, bits);
}

void hostio_make_sure(struct hostio *h) {
  u32 r = __atomic_load_n(&h->ready, __ATOMIC_SEQ_CST);
  if (likely(!(r & HOSTIO_PERHAPS)))
    return;
  __atomic_and_fetch(&h->ready, ~HOSTIO_PERHAPS, __ATOMIC_SEQ_CST);
  found(h, ask(h, POLLIN) & POLLIN);
}

#define HUNG_UP (POLLHUP | POLLRDHUP | POLLERR)

/* Asks again after clearing what is not so, since it may have become so in between. What is so is
   left alone, and wakes nobody. */
void hostio_verify(struct hostio *h) {
  u32 seems = __atomic_load_n(&h->ready, __ATOMIC_SEQ_CST) & HUNG_UP;
  u32 wrong = likely(!seems) ? 0 : seems & ~ask(h, POLLRDHUP);
  if (likely(!wrong))
    return;
  __atomic_and_fetch(&h->ready, ~wrong, __ATOMIC_SEQ_CST);
  found(h, ask(h, POLLRDHUP) & wrong);
}

/* Timeout as epoll_pwait2 or epoll_pwait takes it. */
static u64 timeout_arg(u64 deadline, struct lx_timespec *ts) {
  u64 now = deadline == 0 || deadline == UINT64_MAX ? 0 : plat_now();
  u64 ns = deadline > now ? deadline - now : 0;
  if (wait_nr == LX_epoll_pwait)
    return deadline == UINT64_MAX ? (u64)-1 : min_u64((ns + 999999) / 1000000, 0x7fffffff);
  if (deadline == UINT64_MAX)
    return 0;
  *ts = (struct lx_timespec){(i64)(ns / 1000000000u), (i64)(ns % 1000000000u)};
  return (u64)ts;
}

/* Delivers what l has, which may take until the timeout. The number of events or -errno. */
static i64 listen_at(struct listener *l, u64 timeout, const u32 *kicked) {
  struct lx_epoll_event ev[EVENTS_AT_ONCE];
  i64 n = uf_idle_wait(l->epfd, ev, EVENTS_AT_ONCE, timeout, wait_nr, kicked);
  __atomic_store_n(&l->looked, __builtin_ia32_rdtsc(), __ATOMIC_RELAXED);
  for (i64 i = 0; i < n; i++)
    deliver(&ev[i]);
  return n;
}

static i64 look_at(struct listener *l) {
  static const u32 never;
  struct lx_timespec ts;
  return listen_at(l, timeout_arg(0, &ts), &never);
}

bool hostio_has_members(u32 vcpu) {
  return __atomic_load_n(&listeners[vcpu].members, __ATOMIC_RELAXED) != 0;
}

#define LOOK_CYCLES 100000 /* some tens of microseconds */

static bool looked_recently(const struct listener *l) {
  return __builtin_ia32_rdtsc() - __atomic_load_n(&l->looked, __ATOMIC_RELAXED) < LOOK_CYCLES;
}

static bool busy(u32 vcpu) { return !__atomic_load_n(&vcpus[vcpu].idle, __ATOMIC_RELAXED); }

/* Those of other vCPUs that are not asleep over their events and have not looked lately. */
static bool needs_help(u32 vcpu) {
  return hostio_has_members(vcpu) && busy(vcpu) && !looked_recently(&listeners[vcpu]);
}

static u32 help_others(u32 me) {
  u32 found = 0;
  for (u32 i = 0; i < vcpu_count; i++)
    if (i != me && needs_help(i))
      found += look_at(&listeners[i]) > 0;
  return found;
}

static bool may_need_help(u32 me) {
  for (u32 i = 0; i < vcpu_count; i++)
    if (i != me && hostio_has_members(i) && busy(i))
      return true;
  return false;
}

/* While others are busy a sleep is short at first, and the longer the less it helps them. */
#define SHORT_SLEEP_NS 500000
#define LONGEST_SLEEP 5 /* doublings */

void hostio_wait(u64 deadline, const u32 *kicked) {
  struct vcpu *v = vcpu_self();
  struct lx_timespec ts;
  u64 until = deadline;
  together_poll(v, true);
  behind_poll(v);
  if (deadline && may_need_help(v->id))
    until = min_u64(deadline, plat_now() + ((u64)SHORT_SLEEP_NS << v->idle_looks));
  i64 n = listen_at(&listeners[v->id], timeout_arg(until, &ts), kicked);
  if (n != 0 || until == deadline)
    return;
  if (help_others(v->id) > 0)
    v->idle_looks = 0;
  else if (v->idle_looks < LONGEST_SLEEP)
    v->idle_looks++;
}

void plat_poll_io(void) {
  u32 me = here();
  together_poll(&vcpus[me], false);
  behind_poll(&vcpus[me]);
  if (hostio_has_members(me))
    look_at(&listeners[me]);
  help_others(me);
}

void plat_poll_all_io(void) {
  together_push_all();
  for (u32 i = 0; i < vcpu_count; i++)
    if (hostio_has_members(i))
      look_at(&listeners[i]);
}

void hostio_look(void) {
  u32 me = here();
  if (looked_recently(&listeners[me]))
    return;
  __atomic_store_n(&listeners[me].looked, __builtin_ia32_rdtsc(), __ATOMIC_RELAXED);
  plat_poll_io();
}
