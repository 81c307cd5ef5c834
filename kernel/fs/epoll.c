/* SPDX-License-Identifier: MIT */
/*
 * epoll: an interest list of watches, and the ready list that the watched files' wake-ups fill. A
 * wait looks at ready watches only, however many there are.
 *
 * Locks: epoll_tree_lock (mutex; nesting checks, and the race of a file's end with an epoll's) ->
 * ep->mtx (the interest list, harvesting) -> queue locks of files -> ep->lock (spin; ready list).
 * A watch holds no reference on its file: the end of the file removes it (epoll_file_released).
 */
#include "kernel/fs/epoll.h"
#include "kernel/fs/fdtable.h"
#include "kernel/fs/poll.h"
#include "kernel/fs/vfs.h"
#include "kernel/mm/kmalloc.h"
#include "kernel/signal/signal.h"
#include "kernel/syscall/syscall.h"

#define EPOLLEXCLUSIVE (1u << 28)
#define EPOLLWAKEUP (1u << 29)
#define EPOLLONESHOT (1u << 30)
#define EPOLLET (1u << 31)
#define EPOLL_MODES (EPOLLEXCLUSIVE | EPOLLWAKEUP | EPOLLONESHOT | EPOLLET)
#define EPOLL_CTL_ADD 1
#define EPOLL_CTL_DEL 2
#define EPOLL_CTL_MOD 3
#define MAX_NESTING 5
#define BUCKETS 64
#define BATCH 16
#define QUEUES 2 /* wait queues one file may name in poll */

struct epoll_event {
  u32 events;
  u64 data;
} __attribute__((packed));

struct epoll {
  struct mutex mtx;
  struct file *file; /* its own; no reference */
  struct spin lock;  /* ready */
  struct list ready; /* watches that may have something */
  bool harvesting;   /* some are out of it and may come back; written under mtx, atomic */
  struct waitq wq;   /* epoll_wait and those who poll the epoll file */
  struct list watches[BUCKETS]; /* by descriptor; mtx */
  u32 count;
};

struct watch {
  struct list node;       /* in ep->watches; mtx */
  struct list file_node;  /* in file->epoll_watches; file->epoll_lock */
  struct list ready_node; /* in ep->ready or empty; ep->lock */
  struct epoll *ep;
  struct file *file;
  int fd;
  u32 events; /* wanted, with modes; 0 after a one-shot has fired. Atomic */
  u64 data;
  struct watch_queue {
    struct waiter w;
    struct watch *watch;
  } queues[QUEUES];
  u32 nqueues;
  bool overflow; /* the file has more queues than we have entries */
};

static struct mutex epoll_tree_lock = {.q = WAITQ_INIT(epoll_tree_lock.q)};
static const struct file_ops epoll_ops;

/* ---- ready list ------------------------------------------------------------------------------ */

static bool make_ready(struct watch *w) {
  struct epoll *ep = w->ep;
  bool news;
  spin_lock(&ep->lock);
  news = list_empty(&w->ready_node);
  if (news)
    list_push_back(&ep->ready, &w->ready_node);
  spin_unlock(&ep->lock);
  return news;
}

/* A queue of the file was woken; runs under that queue's lock. Consumes an exclusive wake-up if
   somebody waits who will see to it. */
static bool watch_woken(struct waiter *waiter, u32 events) {
  struct watch *w = container_of(waiter, struct watch_queue, w)->watch;
  bool waited_for;
  u32 wanted = __atomic_load_n(&w->events, __ATOMIC_RELAXED);
  if (!(wanted & ~EPOLL_MODES) || (events && !(events & wanted)))
    return false;
  make_ready(w);
  waited_for = waitq_has_waiters(&w->ep->wq);
  if (waited_for)
    waitq_wake(&w->ep->wq, 1, POLLIN | POLLRDNORM, 0);
  return waited_for;
}

struct watch_poller {
  struct poller poller;
  struct watch *watch;
};

static void watch_add_queue(struct poller *p, struct waitq *q) {
  struct watch *w = container_of(p, struct watch_poller, poller)->watch;
  struct watch_queue *entry = &w->queues[w->nqueues];
  if (w->nqueues == QUEUES) {
    w->overflow = true;
    return;
  }
  entry->watch = w;
  entry->w = (struct waiter){.func = watch_woken, .exclusive = w->events & EPOLLEXCLUSIVE};
  waitq_add(q, &entry->w);
  w->nqueues++;
}

static u32 ready_events(struct watch *w, struct poller *p) {
  u32 wanted = w->events;
  if (!(wanted & ~EPOLL_MODES))
    return 0;
  return file_poll(w->file, p) & wanted & ~EPOLL_MODES;
}

/* ---- watches; ep->mtx held
 * ----------------------------------------------------------------------- */

static struct watch *find(struct epoll *ep, struct file *f, int fd) {
  struct watch *w;
  list_for_each(w, &ep->watches[(u32)fd % BUCKETS], node) {
    if (w->fd == fd && w->file == f)
      return w;
  }
  return NULL;
}

static void unlink_from_file(struct watch *w) {
  spin_lock(&w->file->epoll_lock);
  list_remove(&w->file_node);
  spin_unlock(&w->file->epoll_lock);
}

static void watch_free(struct watch *w) {
  for (u32 k = 0; k < w->nqueues; k++)
    waitq_remove(&w->queues[k].w);
  unlink_from_file(w);
  list_remove(&w->node);
  spin_lock(&w->ep->lock);
  list_remove(&w->ready_node);
  spin_unlock(&w->ep->lock);
  w->ep->count--;
  kfree(w);
}

/* Something may have been there before the queues were watched, or before MOD asked for it. */
static void check_now(struct watch *w, struct poller *p) {
  if (ready_events(w, p) && make_ready(w))
    waitq_wake(&w->ep->wq, 1, POLLIN | POLLRDNORM, 0);
}

static int watch_add(struct epoll *ep, struct file *f, int fd, const struct epoll_event *ev) {
  struct watch *w = kzalloc(sizeof *w);
  struct watch_poller p = {{watch_add_queue}, w};
  if (!w)
    return -ENOMEM;
  w->ep = ep;
  w->file = f;
  w->fd = fd;
  w->events = ev->events | POLLERR | POLLHUP;
  w->data = ev->data;
  list_init(&w->ready_node);
  list_push_back(&ep->watches[(u32)fd % BUCKETS], &w->node);
  ep->count++;
  f->epoll_watched = true; /* the end of f has to synchronise with the end of ep from now on */
  spin_lock(&f->epoll_lock);
  list_push_back(&f->epoll_watches, &w->file_node);
  spin_unlock(&f->epoll_lock);
  check_now(w, &p.poller);
  if (!w->overflow)
    return 0;
  watch_free(w);
  return -EPERM;
}

static int watch_modify(struct watch *w, const struct epoll_event *ev) {
  if ((w->events | ev->events) & EPOLLEXCLUSIVE)
    return -EINVAL;
  w->data = ev->data;
  __atomic_store_n(&w->events, ev->events | POLLERR | POLLHUP, __ATOMIC_SEQ_CST);
  check_now(w, NULL);
  return 0;
}

/* ---- nesting
 * --------------------------------------------------------------------------------------- */

/* Levels of epolls below f, or -ELOOP if `top` is among them. epoll_tree_lock held. */
static int depth_below(struct file *f, const struct epoll *top, int level) {
  struct epoll *ep = f->priv;
  int deepest = 0;
  if (f->ops != &epoll_ops)
    return 0;
  if (ep == top || level > MAX_NESTING)
    return -ELOOP;
  for (int b = 0; b < BUCKETS; b++) {
    struct watch *w;
    list_for_each(w, &ep->watches[b], node) {
      int d = depth_below(w->file, top, level + 1);
      if (d < 0)
        return d;
      deepest = d > deepest ? d : deepest;
    }
  }
  return deepest + 1;
}

/* Levels of epolls that watch f: a watch knows its epoll, whose file is remembered there. */
static int height_above(struct file *f, int level) {
  struct watch *w;
  int highest = 0;
  if (level > MAX_NESTING)
    return level;
  list_for_each(w, &f->epoll_watches, file_node) {
    int h = 1 + height_above(w->ep->file, level + 1);
    highest = h > highest ? h : highest;
  }
  return highest;
}

static int check_nesting(struct file *epf, struct file *f) {
  int below;
  if (f->ops != &epoll_ops)
    return 0;
  below = depth_below(f, epf->priv, 1);
  if (below < 0)
    return below;
  return below + height_above(epf, 0) >= MAX_NESTING ? -ELOOP : 0;
}

/* ---- the file
 * ---------------------------------------------------------------------------------------- */

/* Ready if a watch really has something; watches that do not leave the ready list. */
static bool anything_ready(struct epoll *ep) {
  bool any = false;
  mutex_lock(&ep->mtx);
  __atomic_store_n(&ep->harvesting, true, __ATOMIC_SEQ_CST);
  for (;;) {
    struct watch *w = NULL;
    spin_lock(&ep->lock);
    if (!list_empty(&ep->ready))
      w = list_first(&ep->ready, struct watch, ready_node);
    spin_unlock(&ep->lock);
    if (!w)
      break;
    spin_lock(&ep->lock);
    list_remove(&w->ready_node);
    spin_unlock(&ep->lock);
    if (ready_events(w, NULL)) {
      make_ready(w);
      any = true;
      break;
    }
  }
  __atomic_store_n(&ep->harvesting, false, __ATOMIC_SEQ_CST);
  mutex_unlock(&ep->mtx);
  return any;
}

/* Is anything ready, or may it be again after the harvest that is under way? The caller waits for
   the mutex and looks. Without the lock one can be seen before and the other after a harvest; with
   it a list that is emptied for a moment goes with `harvesting`. */
static bool has_ready(struct epoll *ep) {
  if (!list_seems_empty(&ep->ready) || __atomic_load_n(&ep->harvesting, __ATOMIC_SEQ_CST))
    return true;
  spin_lock(&ep->lock);
  bool any = !list_empty(&ep->ready) || __atomic_load_n(&ep->harvesting, __ATOMIC_SEQ_CST);
  spin_unlock(&ep->lock);
  return any;
}

static u32 epoll_poll(struct file *f, struct poller *p) {
  struct epoll *ep = f->priv;
  poll_wait(p, &ep->wq);
  return has_ready(ep) && anything_ready(ep) ? POLLIN | POLLRDNORM : 0;
}

static void epoll_release(struct file *f) {
  struct epoll *ep = f->priv;
  mutex_lock(&epoll_tree_lock);
  for (int b = 0; b < BUCKETS; b++)
    while (!list_empty(&ep->watches[b]))
      watch_free(list_first(&ep->watches[b], struct watch, node));
  mutex_unlock(&epoll_tree_lock);
  kfree(ep);
}

void epoll_file_released(struct file *f) {
  mutex_lock(&epoll_tree_lock);
  while (!list_empty(&f->epoll_watches)) {
    struct watch *w = list_first(&f->epoll_watches, struct watch, file_node);
    struct epoll *ep = w->ep;
    mutex_lock(&ep->mtx);
    watch_free(w);
    mutex_unlock(&ep->mtx);
  }
  mutex_unlock(&epoll_tree_lock);
}

static int epoll_stat(struct file *f, struct kstat *st) {
  (void)f;
  anon_stat(st, 1, 0600);
  return 0;
}

static const struct file_ops epoll_ops = {
    .name = "anon_inode:[eventpoll]",
    .poll = epoll_poll,
    .stat = epoll_stat,
    .release = epoll_release,
};

static i64 epoll_create_file(u32 flags) {
  struct epoll *ep = kzalloc(sizeof *ep);
  struct file *f;
  int fd;
  if (!ep)
    return -ENOMEM;
  mutex_init(&ep->mtx);
  waitq_init(&ep->wq);
  list_init(&ep->ready);
  for (int b = 0; b < BUCKETS; b++)
    list_init(&ep->watches[b]);
  f = file_alloc(&epoll_ops, O_RDWR, ep);
  if (!f) {
    kfree(ep);
    return -ENOMEM;
  }
  ep->file = f;
  fd = fd_install(f, flags, 0);
  if (fd < 0)
    file_put(f);
  return fd;
}

i64 sys_epoll_create(struct uregs *r) { return (i32)r->rdi <= 0 ? -EINVAL : epoll_create_file(0); }

i64 sys_epoll_create1(struct uregs *r) {
  return (r->rdi & ~(u64)O_CLOEXEC) ? -EINVAL : epoll_create_file((u32)r->rdi);
}

/* ---- epoll_ctl
 * ------------------------------------------------------------------------------------------ */

/* Can the file tell when its answer changes? Regular files and directories cannot. */
static bool pollable(const struct file *f) { return f->ops->poll != NULL; }

static int change(struct epoll *ep, int op, struct file *f, int fd, const struct epoll_event *ev) {
  struct watch *w = find(ep, f, fd);
  switch (op) {
  case EPOLL_CTL_ADD:
    return w ? -EEXIST : watch_add(ep, f, fd, ev);
  case EPOLL_CTL_DEL:
    if (w)
      watch_free(w);
    return w ? 0 : -ENOENT;
  case EPOLL_CTL_MOD:
    return w ? watch_modify(w, ev) : -ENOENT;
  default:
    return -EINVAL;
  }
}

static int ctl(struct file *epf, int op, struct file *f, int fd, const struct epoll_event *ev) {
  struct epoll *ep = epf->priv;
  bool nested = op == EPOLL_CTL_ADD && f->ops == &epoll_ops;
  int e = 0;
  if (epf->ops != &epoll_ops || epf == f)
    return -EINVAL;
  if (!pollable(f))
    return -EPERM;
  if (nested && (ev->events & EPOLLEXCLUSIVE))
    return -EINVAL;
  if (nested) {
    mutex_lock(&epoll_tree_lock);
    e = check_nesting(epf, f);
  }
  if (e == 0) {
    mutex_lock(&ep->mtx);
    e = change(ep, op, f, fd, ev);
    mutex_unlock(&ep->mtx);
  }
  if (nested)
    mutex_unlock(&epoll_tree_lock);
  return e;
}

i64 sys_epoll_ctl(struct uregs *r) {
  struct epoll_event ev = {0};
  struct file *epf, *f;
  i64 e = -EBADF;
  if ((int)r->rsi != EPOLL_CTL_DEL && copy_from_user(&ev, r->r10, sizeof ev) < 0)
    return -EFAULT;
  epf = fd_get((int)r->rdi);
  f = fd_get((int)r->rdx);
  if (epf && f)
    e = ctl(epf, (int)r->rsi, f, (int)r->rdx, &ev);
  file_put(f);
  file_put(epf);
  return e;
}

/* ---- epoll_wait
 * ------------------------------------------------------------------------------------------ */

static struct watch *pop_ready(struct epoll *ep) {
  struct list *n;
  spin_lock(&ep->lock);
  n = list_pop_front(&ep->ready);
  spin_unlock(&ep->lock);
  return n ? list_entry(n, struct watch, ready_node) : NULL;
}

/* Level-triggered watches are ready for the other threads that wait as well. */
static void push_ready(struct epoll *ep, struct list *again) {
  bool any = !list_empty(again);
  spin_lock(&ep->lock);
  while (!list_empty(again)) {
    struct list *n = list_pop_front(again);
    list_push_back(&ep->ready, n);
  }
  spin_unlock(&ep->lock);
  __atomic_store_n(&ep->harvesting, false, __ATOMIC_SEQ_CST);
  if (any)
    waitq_wake(&ep->wq, 1, POLLIN | POLLRDNORM, 0);
}

/* Takes a ready watch's events; level-triggered ones are to be looked at again next time. */
static bool harvest_one(struct watch *w, struct epoll_event *ev, struct list *again) {
  u32 events = ready_events(w, NULL);
  if (!events)
    return false;
  ev->events = events;
  ev->data = w->data;
  if (w->events & EPOLLONESHOT) {
    __atomic_and_fetch(&w->events, EPOLL_MODES, __ATOMIC_RELAXED);
  } else if (!(w->events & EPOLLET)) {
    spin_lock(&w->ep->lock);
    if (list_empty(&w->ready_node)) /* else woken again meanwhile */
      list_push_back(again, &w->ready_node);
    spin_unlock(&w->ep->lock);
  }
  return true;
}

/* Events stored at uaddr; -EFAULT. */
static i64 harvest(struct epoll *ep, u64 uaddr, u32 max) {
  struct epoll_event batch[BATCH];
  struct list again = LIST_INIT(again);
  u32 stored = 0, n = 0;
  i64 e = 0;
  mutex_lock(&ep->mtx);
  __atomic_store_n(&ep->harvesting, true, __ATOMIC_SEQ_CST);
  while (e == 0 && stored + n < max) {
    struct watch *w = pop_ready(ep);
    if (w && harvest_one(w, &batch[n], &again))
      n++;
    if (n > 0 && (!w || n == BATCH || stored + n == max)) {
      e = copy_to_user(uaddr + stored * sizeof *batch, batch, n * sizeof *batch);
      stored += n;
      n = 0;
    }
    if (!w)
      break;
  }
  push_ready(ep, &again);
  mutex_unlock(&ep->mtx);
  return e < 0 ? e : stored;
}

/* Like waitq_wait_until, but exclusive: one event wakes one of many waiting threads. */
static int sleep_for_events(struct epoll *ep, u64 deadline) {
  struct waiter w = {.exclusive = true};
  int e = 0;
  for (;;) {
    waitq_prepare(&ep->wq, &w, THREAD_SLEEPING);
    if (has_ready(ep)) {
      e = 0;
      break;
    }
    if (e != 0)
      break;
    if (signal_pending()) {
      e = -EINTR;
      break;
    }
    e = schedule_until(deadline);
  }
  waitq_finish(&w);
  return e;
}

static i64 wait_events(struct epoll *ep, u64 uaddr, u32 max, u64 deadline) {
  for (;;) {
    i64 n;
    int e;
    if (!has_ready(ep) && deadline == 0)
      plat_poll_all_io();
    n = has_ready(ep) ? harvest(ep, uaddr, max) : 0;
    if (n != 0)
      return n;
    if (deadline == 0)
      return 0;
    e = sleep_for_events(ep, deadline);
    if (e < 0)
      return e == -ETIMEDOUT ? 0 : e;
  }
}

/* deadline 0: do not wait. */
static i64 do_wait(struct uregs *r, u64 deadline) {
  struct fdref d;
  i64 n = -EINVAL;
  i32 max = (i32)r->rdx;
  if (max <= 0 || (u32)max > INT32_MAX / sizeof(struct epoll_event))
    return -EINVAL;
  if (!user_range(r->rsi, (u64)max * sizeof(struct epoll_event)))
    return -EFAULT;
  d = fd_borrow((int)r->rdi);
  if (!d.f)
    return -EBADF;
  if (d.f->ops == &epoll_ops)
    n = wait_events(d.f->priv, r->rsi, (u32)max, deadline);
  fd_return(d);
  return n;
}

static u64 deadline_ms(i32 ms) {
  if (ms <= 0)
    return ms < 0 ? UINT64_MAX : 0;
  return plat_now() + (u64)ms * 1000000;
}

i64 sys_epoll_wait(struct uregs *r) { return do_wait(r, deadline_ms((i32)r->r10)); }

i64 sys_epoll_pwait(struct uregs *r) {
  i64 e = signal_set_temp_mask(r->r8, r->r9);
  if (e < 0)
    return e;
  e = do_wait(r, deadline_ms((i32)r->r10));
  signal_restore_temp_mask(e == -EINTR);
  return e;
}

i64 sys_epoll_pwait2(struct uregs *r) {
  u64 deadline;
  i64 e = poll_deadline_timespec(r->r10, &deadline);
  if (e == 0)
    e = signal_set_temp_mask(r->r8, r->r9);
  if (e < 0)
    return e;
  e = do_wait(r, deadline <= plat_now() ? 0 : deadline);
  signal_restore_temp_mask(e == -EINTR);
  return e;
}
