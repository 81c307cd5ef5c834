/* SPDX-License-Identifier: MIT */
/*
 * Events name a slot and its generation, not an object: one that was fetched on another vCPU just
 * before hostio_remove finds the slot empty or reused and is dropped.
 */
#include "plat/hosted/hostio.h"
#include "kernel/errno.h"
#include "plat/hosted/cpu.h"
#include "plat/hosted/hosted.h"

#define SLOTS_PER_CHUNK 2048
#define MAX_CHUNKS 512
#define EVENTS_AT_ONCE 64

struct slot {
  struct spin lock;
  u32 generation;
  struct hostio *h;
  u32 next_free; /* slot + 1 */
};

static int epfd = -1, deaf_epfd = -1; /* the second has no members: only a kick ends a wait there */
static u32 wait_nr = LX_epoll_pwait2;
static struct spin slots_lock;
static struct slot *chunks[MAX_CHUNKS];
static u32 nslots, first_free; /* first_free: slot + 1, 0: none */

int hostio_init(void) {
  epfd = (int)lx_call6(291 /* epoll_create1 */, 02000000 /* CLOEXEC */, 0, 0, 0, 0, 0);
  if (epfd < 0)
    return epfd;
  deaf_epfd = (int)lx_call6(291 /* epoll_create1 */, 02000000 /* CLOEXEC */, 0, 0, 0, 0, 0);
  if (deaf_epfd < 0)
    return deaf_epfd;
  struct lx_epoll_event ev;
  struct lx_timespec zero = {0, 0};
  if (lx6(epoll_pwait2, epfd, &ev, 1, &zero, NULL, 0) == -ENOSYS)
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

int hostio_add(struct hostio *h, int fd, struct waitq *q) {
  h->fd = fd;
  h->q = q;
  if (!slot_take(&h->slot))
    return -ENOMEM;
  struct slot *s = slot_at(h->slot);
  spin_lock(&s->lock);
  s->generation++;
  s->h = h;
  spin_unlock(&s->lock);
  struct lx_epoll_event ev = {POLLIN | POLLPRI | POLLOUT | POLLRDHUP | LX_EPOLLET,
                              (u64)h->slot << 32 | s->generation};
  i64 err = lx4(epoll_ctl, epfd, LX_EPOLL_CTL_ADD, fd, &ev);
  if (err == 0)
    return 0;
  s->h = NULL;
  slot_release(h->slot);
  h->fd = -1;
  return err == -EPERM ? -EPERM : -ENOMEM;
}

void hostio_remove(struct hostio *h) {
  if (h->fd < 0)
    return;
  struct lx_epoll_event ev = {0, 0};
  lx4(epoll_ctl, epfd, LX_EPOLL_CTL_DEL, h->fd, &ev);
  struct slot *s = slot_at(h->slot);
  spin_lock(&s->lock);
  s->h = NULL;
  spin_unlock(&s->lock);
  slot_release(h->slot);
  h->fd = -1;
}

static void deliver(const struct lx_epoll_event *ev) {
  struct slot *s = slot_at((u32)(ev->data >> 32));
  spin_lock(&s->lock);
  if (s->h && s->generation == (u32)ev->data) {
    __atomic_or_fetch(&s->h->ready, ev->events, __ATOMIC_SEQ_CST);
    waitq_wake(s->h->q, 0, ev->events, 0);
  }
  spin_unlock(&s->lock);
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

void hostio_wait(u64 deadline, const u32 *kicked) {
  struct lx_epoll_event ev[EVENTS_AT_ONCE];
  struct lx_timespec ts;
  i64 n = uf_idle_wait(epfd, ev, EVENTS_AT_ONCE, timeout_arg(deadline, &ts), wait_nr, kicked);
  for (i64 i = 0; i < n; i++)
    deliver(&ev[i]);
}

void hostio_nap(u64 deadline, const u32 *kicked) {
  struct lx_epoll_event ev;
  struct lx_timespec ts;
  uf_idle_wait(deaf_epfd, &ev, 1, timeout_arg(deadline, &ts), wait_nr, kicked);
}

#define HUNG_UP (POLLHUP | POLLRDHUP | POLLERR)

void hostio_verify(struct hostio *h) {
  struct {
    i32 fd;
    i16 events, revents;
  } p = {h->fd, POLLIN | POLLPRI | POLLOUT | POLLRDHUP, 0};
  if (!(__atomic_load_n(&h->ready, __ATOMIC_SEQ_CST) & HUNG_UP))
    return;
  hostio_begin(h, HUNG_UP);
  if (lx3(poll, &p, 1, 0) > 0)
    hostio_more(h, (u32)(u16)p.revents);
}

#define LOOK_CYCLES 100000 /* some tens of microseconds */

void hostio_look(void) {
  static u64 last;
  u64 now = __builtin_ia32_rdtsc();
  if (now - __atomic_load_n(&last, __ATOMIC_RELAXED) < LOOK_CYCLES)
    return;
  __atomic_store_n(&last, now, __ATOMIC_RELAXED);
  plat_poll_io();
}

void plat_poll_io(void) {
  static const u32 never;
  if (nslots)
    hostio_wait(0, &never);
}
