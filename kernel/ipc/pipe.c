/* SPDX-License-Identifier: MIT */
#include "kernel/ipc/pipe.h"
#include "kernel/fs/fdtable.h"
#include "kernel/fs/vfs.h"
#include "kernel/mm/kmalloc.h"
#include "kernel/signal/signal.h"
#include "kernel/syscall/syscall.h"
#include "lib/string.h"

#define READABLE (POLLIN | POLLRDNORM)
#define WRITABLE (POLLOUT | POLLWRNORM)
#define FIONREAD 0x541b

struct pipe *pipe_create(void) {
  struct pipe *p = kmalloc(sizeof *p);
  if (!p)
    return NULL;
  memset(p, 0, sizeof *p);
  p->refs = 1;
  mutex_init(&p->lock);
  waitq_init(&p->rd);
  waitq_init(&p->wr);
  p->capacity = PIPE_CAPACITY;
  p->ino = anon_ino();
  return p;
}

void pipe_get(struct pipe *p) { __atomic_fetch_add(&p->refs, 1, __ATOMIC_RELAXED); }

void pipe_put(struct pipe *p) {
  if (__atomic_sub_fetch(&p->refs, 1, __ATOMIC_ACQ_REL) != 0)
    return;
  kfree(p->ring);
  kfree(p);
}

/* ---- the ring; lock held --------------------------------------------------------------- */

static u32 used(const struct pipe *p) { return p->head - p->tail; }
static u32 room(const struct pipe *p) { return p->capacity - used(p); }

static int resize(struct pipe *p, u32 size) {
  u8 *ring = kmalloc(size);
  u32 n = used(p);
  if (!ring)
    return -ENOMEM;
  for (u32 done = 0; done < n;) {
    u32 at = (p->tail + done) & (p->size - 1);
    u32 piece = (u32)min_u64(n - done, p->size - at);
    memcpy(ring + done, p->ring + at, piece);
    done += piece;
  }
  kfree(p->ring);
  p->ring = ring;
  p->size = size;
  p->tail = 0;
  p->head = n;
  return 0;
}

/* Makes the ring hold n more bytes (no more than the capacity allows). */
static int reserve(struct pipe *p, u64 n) {
  if (likely(used(p) + n <= p->size))
    return 0;
  if (p->size == 0 && n <= PAGE_SIZE)
    return resize(p, (u32)min_u64(PAGE_SIZE, p->capacity));
  return p->size < p->capacity ? resize(p, p->capacity) : 0;
}

/* Copies as much as is there (or fits) between the ring and u; bytes or -EFAULT if none. */
static i64 ring_get(struct pipe *p, struct uio *u) {
  i64 done = 0;
  while (u->left > 0 && used(p) > 0) {
    u32 at = p->tail & (p->size - 1);
    i64 n = uio_write_to(u, p->ring + at, min_u64(used(p), p->size - at));
    if (n <= 0)
      return done ? done : n;
    p->tail += (u32)n;
    done += n;
  }
  return done;
}

static i64 ring_put(struct pipe *p, struct uio *u) {
  i64 done = 0;
  while (u->left > 0 && used(p) < p->size) {
    u32 at = p->head & (p->size - 1);
    i64 n = uio_read_from(u, p->ring + at, min_u64(p->size - used(p), p->size - at));
    if (n <= 0)
      return done ? done : n;
    p->head += (u32)n;
    done += n;
  }
  return done;
}

/* Wakes who waits on q. The caller has just released p->lock, which orders the change before this
   look at the queue, so that the usual case costs no fence. */
static void wake(struct waitq *q, u32 events) { waitq_wake_unordered(q, 0, events, WAKE_SYNC); }

/* Sleeps on q until woken: 0 (then look again) or -ERESTARTSYS. p->lock is held and released.
   Whoever changes the pipe does so under that lock and looks at q afterwards, so no wake-up is
   lost. */
static int wait_on(struct pipe *p, struct waitq *q) {
  struct waiter w = {.leaves = true};
  int e = 0;
  waitq_prepare_unordered(q, &w, THREAD_SLEEPING);
  mutex_unlock(&p->lock);
  if (signal_pending())
    e = -ERESTARTSYS;
  else
    schedule();
  waitq_finish(&w);
  return e;
}

/*
 * One reader, usually the only one, sleeps without a queue: who puts data in wakes it with p->lock
 * held, which it takes before it goes on, so that it cannot go away meanwhile.
 */
static inline int wait_as_reader(struct pipe *p) {
  struct thread *me = thread_current();
  int e = 0;
  p->reader = me;
  __atomic_store_n(&me->state, THREAD_SLEEPING, __ATOMIC_RELAXED);
  mutex_unlock(&p->lock);
  if (unlikely(__atomic_load_n(&me->work, __ATOMIC_RELAXED) & WORK_SIGNAL) && signal_pending()) {
    sched_set_state(me, THREAD_RUNNABLE);
    e = -ERESTARTSYS;
  } else {
    schedule();
  }
  mutex_lock(&p->lock);
  if (p->reader == me)
    p->reader = NULL;
  return e;
}

static inline void wake_reader(struct pipe *p) {
  struct thread *t = p->reader;
  if (!t)
    return;
  p->reader = NULL;
  sched_wake(t, WAKE_SYNC);
}

/* ---- transfers ------------------------------------------------------------------------- */

/* Waits until there is data: 1, and the lock is still held. Otherwise it is released: 0 (the end)
   or an error. */
static __attribute__((noinline)) i64 await_data(struct file *f, struct pipe *p) {
  int e = 0;
  while (used(p) == 0) {
    if (e == 0 && p->writers > 0 && !(f->flags & O_NONBLOCK)) {
      if (!p->reader) {
        e = wait_as_reader(p);
        continue;
      }
      e = wait_on(p, &p->rd);
      if (e < 0)
        return e;
      mutex_lock(&p->lock);
      continue;
    }
    e = e < 0 ? e : p->writers == 0 ? 0 : -EAGAIN;
    mutex_unlock(&p->lock);
    return e;
  }
  return 1;
}

static i64 pipe_read(struct file *f, struct uio *u, u64 *pos) {
  struct pipe *p = f->priv;
  i64 n;
  (void)pos;
  if (u->left == 0)
    return 0;
  mutex_lock(&p->lock);
  n = await_data(f, p);
  if (n <= 0)
    return n;
  n = ring_get(p, u);
  mutex_unlock(&p->lock);
  wake(&p->wr, WRITABLE);
  return n;
}

/* In pieces, or where a page is missing. */
static __attribute__((noinline)) i64 ring_get_user(struct pipe *p, u64 uaddr, u64 n) {
  struct uio u;
  int e = uio_init_user(&u, uaddr, n);
  return e < 0 ? e : ring_get(p, &u);
}

/* There is data, and the lock is held: takes up to n bytes and lets others go on. */
static inline __attribute__((always_inline)) i64 take_user(struct pipe *p, u64 uaddr, u64 n) {
  u32 at = p->tail & (p->size - 1);
  i64 got = (i64)min_u64(n, used(p));
  if (likely(got <= p->size - at &&
             plat_copy_try(user_address(uaddr), p->ring + at, (size_t)got) == 0))
    p->tail += (u32)got;
  else
    got = ring_get_user(p, uaddr, n);
  mutex_unlock(&p->lock);
  wake(&p->wr, WRITABLE);
  return got;
}

static __attribute__((noinline)) i64 wait_and_take_user(struct file *f, u64 uaddr, u64 n) {
  struct pipe *p = f->priv;
  if (likely(p->writers > 0 && !(f->flags & O_NONBLOCK) && !p->reader)) {
    int e = wait_as_reader(p);
    if (likely(used(p) > 0))
      return take_user(p, uaddr, n);
    if (e < 0) {
      mutex_unlock(&p->lock);
      return e;
    }
  }
  i64 e = await_data(f, p);
  return e <= 0 ? e : take_user(p, uaddr, n);
}

static __attribute__((noinline)) i64 take_user_now(struct file *f, u64 uaddr, u64 n) {
  return take_user(f->priv, uaddr, n);
}

/* Keeps nothing over a call, so that neither way saves registers twice. */
static i64 pipe_read_user(struct file *f, u64 uaddr, u64 n) {
  struct pipe *p = f->priv;
  mutex_lock(&p->lock);
  return used(p) == 0 ? wait_and_take_user(f, uaddr, n) : take_user_now(f, uaddr, n);
}

static i64 broken(void) {
  signal_send_thread(thread_current(), SIGPIPE, NULL);
  return -EPIPE;
}

/* Bytes of u that can go in now; a small write goes as a whole or not at all. Lock held. */
static i64 write_now(struct pipe *p, struct uio *u) {
  u64 n = min_u64(u->left, room(p));
  int e;
  if (n == 0 || (u->left <= PIPE_BUF && n < u->left))
    return 0;
  e = reserve(p, n);
  return e < 0 ? e : ring_put(p, u);
}

static i64 pipe_write(struct file *f, struct uio *u, u64 *pos) {
  struct pipe *p = f->priv;
  i64 done = 0;
  (void)pos;
  while (u->left > 0) {
    i64 n;
    mutex_lock(&p->lock);
    n = p->readers == 0 ? -EPIPE : write_now(p, u);
    if (n == 0 && !(f->flags & O_NONBLOCK)) {
      n = wait_on(p, &p->wr);
      if (n < 0)
        return done ? done : n;
      continue;
    }
    if (n > 0)
      wake_reader(p);
    mutex_unlock(&p->lock);
    if (n == 0)
      n = -EAGAIN;
    if (n < 0)
      return done ? done : n == -EPIPE ? broken() : n;
    done += n;
    wake(&p->rd, READABLE);
  }
  return done;
}

static __attribute__((noinline)) i64 write_any(struct file *f, u64 uaddr, u64 n) {
  struct uio u;
  int e = uio_init_user(&u, uaddr, n);
  return e < 0 ? e : pipe_write(f, &u, NULL);
}

/* What fits into one piece of the ring as it is goes there at once. */
static i64 pipe_write_user(struct file *f, u64 uaddr, u64 n) {
  struct pipe *p = f->priv;
  mutex_lock(&p->lock);
  u32 at = p->head & (p->size - 1);
  if (unlikely(p->readers == 0 || n > p->size - used(p) || n > p->size - at ||
               plat_copy_try(p->ring + at, user_address(uaddr), n) < 0)) {
    mutex_unlock(&p->lock);
    return write_any(f, uaddr, n);
  }
  p->head += (u32)n;
  wake_reader(p);
  mutex_unlock(&p->lock);
  wake(&p->rd, READABLE);
  return (i64)n;
}

static u32 pipe_poll(struct file *f, struct poller *w) {
  struct pipe *p = f->priv;
  u32 mode = f->flags & O_ACCMODE, ready = 0;
  if (mode != O_WRONLY) {
    poll_wait(w, &p->rd);
    if (used(p) > 0)
      ready |= READABLE;
    if (p->writers == 0 && p->writer_opens > 0)
      ready |= POLLHUP;
  }
  if (mode != O_RDONLY) {
    poll_wait(w, &p->wr);
    if (room(p) >= PIPE_BUF)
      ready |= WRITABLE;
    if (p->readers == 0)
      ready |= POLLERR;
  }
  return ready;
}

static i64 pipe_ioctl(struct file *f, u32 cmd, u64 arg) {
  struct pipe *p = f->priv;
  return cmd == FIONREAD ? user_store32(arg, used(p)) : -ENOTTY;
}

static int pipe_stat(struct file *f, struct kstat *st) {
  struct pipe *p = f->priv;
  if (f->inode)
    return inode_getattr(f->inode, st);
  anon_stat(st, p->ino, S_IFIFO | 0600);
  return 0;
}

/* ---- ends ------------------------------------------------------------------------------ */

static void count_ends(struct pipe *p, struct file *f, int by) {
  u32 mode = f->flags & O_ACCMODE;
  mutex_lock(&p->lock);
  if (mode != O_WRONLY) {
    p->readers += (u32)by;
    p->reader_opens += by > 0;
  }
  if (mode != O_RDONLY) {
    p->writers += (u32)by;
    p->writer_opens += by > 0;
  }
  if (by < 0 && p->readers == 0 && p->writers == 0)
    p->head = p->tail = 0; /* a FIFO that nobody has open is empty */
  if (by < 0)
    wake_reader(p);
  mutex_unlock(&p->lock);
  waitq_wake(&p->rd, 0, by < 0 ? READABLE | POLLHUP : 0, 0);
  waitq_wake(&p->wr, 0, by < 0 ? WRITABLE | POLLERR : 0, 0);
}

static void pipe_release(struct file *f) {
  count_ends(f->priv, f, -1);
  pipe_put(f->priv);
}

static const struct file_ops pipe_ops = {
    .name = "pipe",
    .read = pipe_read,
    .write = pipe_write,
    .read_user = pipe_read_user,
    .write_user = pipe_write_user,
    .poll = pipe_poll,
    .ioctl = pipe_ioctl,
    .stat = pipe_stat,
    .release = pipe_release,
};

void pipe_attach(struct pipe *p, struct file *f) {
  pipe_get(p);
  f->ops = &pipe_ops;
  f->priv = p;
  count_ends(p, f, 1);
}

/* ---- capacity -------------------------------------------------------------------------- */

i64 pipe_capacity(struct file *f) {
  return f->ops == &pipe_ops ? (i64)((struct pipe *)f->priv)->capacity : -EBADF;
}

i64 pipe_set_capacity(struct file *f, u64 size) {
  struct pipe *p = f->priv;
  u32 capacity = PIPE_BUF;
  i64 e = 0;
  if (f->ops != &pipe_ops)
    return -EBADF;
  if (size > PIPE_CAPACITY_MAX)
    return size > 1u << 31 ? -EINVAL : -EPERM;
  while (capacity < size)
    capacity *= 2;
  mutex_lock(&p->lock);
  if (used(p) > capacity)
    e = -EBUSY;
  else if (p->size > capacity)
    e = resize(p, capacity);
  if (e == 0)
    p->capacity = capacity;
  mutex_unlock(&p->lock);
  waitq_wake(&p->wr, 0, WRITABLE, 0);
  return e < 0 ? e : (i64)capacity;
}

/* ---- system calls ---------------------------------------------------------------------- */

static struct file *open_end(struct pipe *p, u32 flags) {
  struct file *f = file_alloc(&pipe_ops, flags, NULL);
  if (f)
    pipe_attach(p, f);
  return f;
}

/* Installs both files (references taken over in any case) and tells the user. */
static i64 install_pair(struct file *a, struct file *b, u32 flags, u64 uaddr) {
  int fds[2] = {-1, -1};
  fds[0] = fd_install(a, flags, 0);
  if (fds[0] < 0) {
    file_put(a);
    file_put(b);
    return fds[0];
  }
  fds[1] = fd_install(b, flags, 0);
  if (fds[1] < 0) {
    file_put(b);
    fd_close(fds[0]);
    return fds[1];
  }
  if (copy_to_user(uaddr, fds, sizeof fds) == 0)
    return 0;
  fd_close(fds[0]);
  fd_close(fds[1]);
  return -EFAULT;
}

static i64 make_pipe(u64 uaddr, u32 flags) {
  struct pipe *p;
  struct file *rd, *wr;
  if (flags & ~(u32)(O_CLOEXEC | O_NONBLOCK))
    return -EINVAL;
  p = pipe_create();
  if (!p)
    return -ENOMEM;
  rd = open_end(p, O_RDONLY | (flags & O_NONBLOCK));
  wr = rd ? open_end(p, O_WRONLY | (flags & O_NONBLOCK)) : NULL;
  pipe_put(p);
  if (!wr) {
    file_put(rd);
    return -ENOMEM;
  }
  return install_pair(rd, wr, flags, uaddr);
}

i64 sys_pipe(struct uregs *r) { return make_pipe(r->rdi, 0); }
i64 sys_pipe2(struct uregs *r) { return make_pipe(r->rdi, (u32)r->rsi); }
