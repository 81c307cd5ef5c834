/* SPDX-License-Identifier: MIT */
/* poll, ppoll, and the set of wait-queue entries that select shares. */
#include "kernel/fs/poll.h"
#include "kernel/fs/fdtable.h"
#include "kernel/fs/vfs.h"
#include "kernel/mm/kmalloc.h"
#include "kernel/signal/signal.h"
#include "kernel/syscall/syscall.h"

#define NSEC 1000000000UL
#define FDS_INLINE 16

struct poll_chunk {
  struct poll_chunk *next;
  unsigned n;
  struct poll_entry entries[64];
};

void poll_wait(struct poller *p, struct waitq *q) {
  if (p)
    p->add(p, q);
}

static bool entry_woken(struct waiter *w, u32 events) {
  struct poll_set *s = container_of(w, struct poll_entry, w)->set;
  (void)events;
  __atomic_store_n(&s->triggered, true, __ATOMIC_RELEASE);
  waitq_wake(&s->q, 0, 0, 0);
  return true;
}

static struct poll_entry *new_entry(struct poll_set *s) {
  struct poll_chunk *c = s->more;
  if (s->n < POLL_INLINE)
    return &s->entries[s->n++];
  if (!c || c->n == ARRAY_LEN(c->entries)) {
    c = kmalloc(sizeof *c);
    if (!c)
      return NULL;
    c->n = 0;
    c->next = s->more;
    s->more = c;
  }
  return &c->entries[c->n++];
}

static void set_add(struct poller *p, struct waitq *q) {
  struct poll_set *s = container_of(p, struct poll_set, poller);
  struct poll_entry *en = new_entry(s);
  if (!en) {
    s->error = -ENOMEM;
    return;
  }
  en->set = s;
  en->w = (struct waiter){.func = entry_woken};
  waitq_add(q, &en->w);
}

void poll_set_init(struct poll_set *s) {
  s->poller.add = set_add;
  waitq_init(&s->q);
  s->triggered = false;
  s->error = 0;
  s->n = 0;
  s->more = NULL;
}

void poll_set_destroy(struct poll_set *s) {
  for (unsigned k = 0; k < s->n; k++)
    waitq_remove(&s->entries[k].w);
  while (s->more) {
    struct poll_chunk *c = s->more;
    for (unsigned k = 0; k < c->n; k++)
      waitq_remove(&c->entries[k].w);
    s->more = c->next;
    kfree(c);
  }
}

int poll_set_wait(struct poll_set *s, u64 deadline) {
  int e = waitq_wait_until(&s->q, __atomic_load_n(&s->triggered, __ATOMIC_ACQUIRE), deadline);
  __atomic_store_n(&s->triggered, false, __ATOMIC_RELAXED);
  return e == -ERESTARTSYS ? -ERESTARTNOHAND : e;
}

/* ---- time-outs ------------------------------------------------------------------------------ */

static u64 deadline_after(u64 ns) {
  u64 now = plat_now();
  return ns > UINT64_MAX - 1 - now ? UINT64_MAX : now + ns;
}

int poll_deadline_timespec(u64 uaddr, u64 *deadline) {
  i64 t[2];
  *deadline = UINT64_MAX;
  if (!uaddr)
    return 0;
  if (copy_from_user(t, uaddr, sizeof t) < 0)
    return -EFAULT;
  if (t[0] < 0 || t[1] < 0 || t[1] >= (i64)NSEC)
    return -EINVAL;
  if (t[0] < (i64)(INT64_MAX / NSEC))
    *deadline = deadline_after((u64)t[0] * NSEC + (u64)t[1]);
  return 0;
}

void poll_store_left(u64 uaddr, u64 deadline, bool microseconds) {
  u64 now = plat_now(), left = deadline > now ? deadline - now : 0;
  i64 t[2];
  if (!uaddr || deadline == UINT64_MAX)
    return;
  t[0] = (i64)(left / NSEC);
  t[1] = (i64)(left % NSEC / (microseconds ? 1000 : 1));
  copy_to_user(uaddr, t, sizeof t);
}

/* ---- poll ------------------------------------------------------------------------------------ */

struct user_pollfd {
  int fd;
  i16 events, revents;
};

/* The files of one call, held until it returns. */
struct polled {
  struct user_pollfd *fds;
  struct file **files;
  u64 n;
};

/* Asks every file once; the number of entries with something to report. */
static int scan(struct polled *p, struct poller *w) {
  int ready = 0;
  for (u64 k = 0; k < p->n; k++) {
    struct user_pollfd *u = &p->fds[k];
    u32 wanted = (u16)u->events | POLLERR | POLLHUP;
    u->revents = 0;
    if (u->fd < 0)
      continue;
    u->revents = (i16)(p->files[k] ? file_poll(p->files[k], w) & wanted : POLLNVAL);
    if (u->revents) {
      ready++;
      w = NULL; /* we will not sleep */
    }
  }
  return ready;
}

static int wait_ready(struct polled *p, u64 deadline) {
  struct poll_set set;
  int ready = scan(p, NULL), e = 0;
  if (ready || deadline == 0) {
    if (!ready) {
      plat_poll_all_io();
      ready = scan(p, NULL);
    }
    return ready;
  }
  poll_set_init(&set);
  ready = scan(p, &set.poller);
  if (!ready && set.error)
    ready = set.error;
  while (ready == 0 && e == 0) {
    e = poll_set_wait(&set, deadline);
    ready = scan(p, NULL);
  }
  poll_set_destroy(&set);
  return ready ? ready : e == -ETIMEDOUT ? 0 : e;
}

static i64 poll_files(struct polled *p, u64 uaddr, u64 deadline) {
  i64 ready;
  for (u64 k = 0; k < p->n; k++)
    p->files[k] = p->fds[k].fd >= 0 ? fd_get(p->fds[k].fd) : NULL;
  ready = wait_ready(p, deadline);
  for (u64 k = 0; k < p->n; k++)
    file_put(p->files[k]);
  if (ready >= 0 && copy_to_user(uaddr, p->fds, p->n * sizeof *p->fds) < 0)
    ready = -EFAULT;
  return ready;
}

static i64 do_poll(u64 uaddr, u64 n, u64 deadline) {
  struct user_pollfd fds[FDS_INLINE];
  struct file *files[FDS_INLINE];
  struct polled p = {fds, files, n};
  void *block = NULL;
  i64 e;
  if (n > proc_current()->limits[RLIMIT_NOFILE].cur)
    return -EINVAL;
  if (n > FDS_INLINE) {
    block = kmalloc(n * (sizeof *p.fds + sizeof(struct file *)));
    if (!block)
      return -ENOMEM;
    p.files = block;
    p.fds = (void *)(p.files + n);
  }
  e = copy_from_user(p.fds, uaddr, n * sizeof *p.fds) < 0 ? -EFAULT
                                                          : poll_files(&p, uaddr, deadline);
  kfree(block);
  return e;
}

/* poll with a relative time-out cannot simply be restarted after a signal: it would wait anew. */
i64 sys_poll(struct uregs *r) {
  i32 ms = (i32)r->rdx;
  u64 deadline = ms < 0 ? UINT64_MAX : ms == 0 ? 0 : deadline_after((u64)ms * 1000000);
  i64 e = do_poll(r->rdi, (u32)r->rsi, deadline);
  return e == -ERESTARTNOHAND && ms > 0 ? -EINTR : e;
}

static bool is_zero_timespec(u64 uaddr) {
  i64 t[2];
  return uaddr && copy_from_user(t, uaddr, sizeof t) == 0 && t[0] == 0 && t[1] == 0;
}

i64 sys_ppoll(struct uregs *r) {
  u64 deadline, tmo = r->rdx;
  i64 e = poll_deadline_timespec(tmo, &deadline);
  if (e < 0)
    return e;
  if (is_zero_timespec(tmo))
    deadline = 0;
  e = signal_set_temp_mask(r->r10, r->r8);
  if (e < 0)
    return e;
  e = do_poll(r->rdi, (u32)r->rsi, deadline);
  poll_store_left(tmo, deadline, false);
  signal_restore_temp_mask(e == -ERESTARTNOHAND);
  return e;
}
