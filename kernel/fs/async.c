/* SPDX-License-Identifier: MIT */
/*
 * Signal-driven I/O. A file with O_ASYNC has waiters of its own in the queues that poll would
 * watch; a wake-up arms a timer that is due at once, and its callback, which runs without the
 * queue's lock, sends SIGIO. Several wake-ups before that are one signal, as SIGIO does not queue.
 */
#include "kernel/fs/async.h"
#include "kernel/errno.h"
#include "kernel/fs/poll.h"
#include "kernel/fs/vfs.h"
#include "kernel/mm/kmalloc.h"
#include "kernel/proc/proc.h"
#include "kernel/signal/signal.h"
#include "kernel/time/timer.h"

#define QUEUES 2 /* wait queues one file may name in poll */

struct file_async {
  struct mutex mtx; /* on and queues */
  bool on;
  struct spin lock; /* owner and the two below */
  int owner;
  u32 uid, euid; /* of who named the owner */
  struct ktimer notify;
  struct async_queue {
    struct waiter w;
    struct file_async *async;
  } queues[QUEUES];
  u32 nqueues;
};

struct recipients {
  int owner;
  u32 uid, euid; /* on whose behalf */
};

static void notify_one(struct proc *p, void *arg) {
  const struct recipients *r = arg;
  bool meant = r->owner > 0 ? p->pid == r->owner : proc_pgid(p) == -r->owner;
  if (meant && cred_may_signal(r->uid, r->euid, &p->cred))
    signal_send_proc(p, SIGIO, NULL);
}

static void notify(struct ktimer *t) {
  struct file_async *a = container_of(t, struct file_async, notify);
  spin_lock(&a->lock);
  struct recipients r = {a->owner, a->uid, a->euid};
  spin_unlock(&a->lock);
  if (r.owner > 0) {
    struct proc *p = proc_find(r.owner);
    if (p) {
      notify_one(p, &r);
      proc_put(p);
    }
  } else if (r.owner < 0) {
    proc_for_each(notify_one, &r);
  }
}

/* A queue of the file was woken; runs under its lock. */
static bool queue_woken(struct waiter *w, u32 events) {
  (void)events;
  ktimer_arm(&container_of(w, struct async_queue, w)->async->notify, 0);
  return false;
}

struct async_poller {
  struct poller poller;
  struct file_async *async;
};

static void add_queue(struct poller *p, struct waitq *q) {
  struct file_async *a = container_of(p, struct async_poller, poller)->async;
  if (a->nqueues == QUEUES)
    return;
  struct async_queue *entry = &a->queues[a->nqueues++];
  entry->async = a;
  entry->w = (struct waiter){.func = queue_woken};
  waitq_add(q, &entry->w);
}

static void leave_queues(struct file_async *a) {
  for (u32 i = 0; i < a->nqueues; i++)
    waitq_remove(&a->queues[i].w);
  a->nqueues = 0;
  ktimer_cancel(&a->notify);
}

/* f's state, made on first use. */
static struct file_async *async_of(struct file *f) {
  struct file_async *have = __atomic_load_n(&f->async, __ATOMIC_ACQUIRE);
  if (have)
    return have;
  struct file_async *a = kzalloc(sizeof *a);
  if (!a)
    return NULL;
  mutex_init(&a->mtx);
  ktimer_init(&a->notify, notify);
  if (__atomic_compare_exchange_n(&f->async, &have, a, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
    return a;
  kfree(a);
  return have;
}

static bool exists(int owner) {
  if (owner < 0)
    return proc_pgrp_session(-owner) != 0;
  struct proc *p = proc_find(owner);
  if (p)
    proc_put(p);
  return p != NULL;
}

int async_set_owner(struct file *f, int owner) {
  if (owner == INT32_MIN || (owner != 0 && !exists(owner)))
    return -ESRCH;
  struct file_async *a = async_of(f);
  if (!a)
    return -ENOMEM;
  const struct cred *c = &proc_current()->cred;
  spin_lock(&a->lock);
  a->owner = owner;
  a->uid = c->uid;
  a->euid = c->euid;
  spin_unlock(&a->lock);
  return 0;
}

int async_owner(struct file *f) {
  struct file_async *a = __atomic_load_n(&f->async, __ATOMIC_ACQUIRE);
  return a ? __atomic_load_n(&a->owner, __ATOMIC_RELAXED) : 0;
}

int async_switch(struct file *f, bool on) {
  int err = 0;
  struct file_async *a = on ? async_of(f) : __atomic_load_n(&f->async, __ATOMIC_ACQUIRE);
  if (!a)
    return on ? -ENOMEM : 0;
  mutex_lock(&a->mtx);
  if (on && !a->on) {
    struct async_poller p = {{add_queue}, a};
    file_poll(f, &p.poller);
    if (a->nqueues == 0)
      err = -ENOTTY;
  } else if (!on && a->on) {
    leave_queues(a);
  }
  if (!err) {
    a->on = on;
    if (on)
      __atomic_or_fetch(&f->flags, O_ASYNC, __ATOMIC_RELAXED);
    else
      __atomic_and_fetch(&f->flags, ~(u32)O_ASYNC, __ATOMIC_RELAXED);
  }
  mutex_unlock(&a->mtx);
  return err;
}

void async_file_released(struct file *f) {
  leave_queues(f->async);
  kfree(f->async);
}
