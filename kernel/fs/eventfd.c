/* SPDX-License-Identifier: MIT */
/* eventfd: a counter that can be waited for. */
#include "kernel/fs/fdtable.h"
#include "kernel/fs/vfs.h"
#include "kernel/mm/kmalloc.h"
#include "kernel/syscall/syscall.h"

#define EFD_SEMAPHORE 1u
#define COUNT_MAX (UINT64_MAX - 1)

struct eventfd {
  struct spin lock; /* count */
  u64 count;
  bool semaphore;
  struct waitq wq;
};

/* Takes what a read gets, 0 if there is nothing. */
static u64 take(struct eventfd *ev) {
  u64 got;
  spin_lock(&ev->lock);
  got = ev->semaphore && ev->count ? 1 : ev->count;
  __atomic_store_n(&ev->count, ev->count - got, __ATOMIC_RELEASE); /* poll reads it as it is */
  spin_unlock(&ev->lock);
  return got;
}

static bool add(struct eventfd *ev, u64 n) {
  bool fits;
  spin_lock(&ev->lock);
  fits = n <= COUNT_MAX - ev->count;
  if (fits)
    __atomic_store_n(&ev->count, ev->count + n, __ATOMIC_RELEASE);
  spin_unlock(&ev->lock);
  return fits;
}

static i64 eventfd_read(struct file *f, struct uio *u, u64 *pos) {
  struct eventfd *ev = f->priv;
  u64 got;
  (void)pos;
  if (u->left < sizeof got)
    return -EINVAL;
  while ((got = take(ev)) == 0) {
    int e;
    if (f->flags & O_NONBLOCK)
      return -EAGAIN;
    e = waitq_wait(&ev->wq, __atomic_load_n(&ev->count, __ATOMIC_ACQUIRE) != 0);
    if (e < 0)
      return e;
  }
  waitq_wake(&ev->wq, 0, POLLOUT | POLLWRNORM, 0);
  return uio_write_to(u, &got, sizeof got);
}

static i64 eventfd_write(struct file *f, struct uio *u, u64 *pos) {
  struct eventfd *ev = f->priv;
  u64 n;
  i64 e;
  (void)pos;
  if (u->left < sizeof n)
    return -EINVAL;
  e = uio_read_from(u, &n, sizeof n);
  if (e < 0)
    return e;
  if (n == UINT64_MAX)
    return -EINVAL;
  while (!add(ev, n)) {
    if (f->flags & O_NONBLOCK)
      return -EAGAIN;
    e = waitq_wait(&ev->wq, n <= COUNT_MAX - __atomic_load_n(&ev->count, __ATOMIC_ACQUIRE));
    if (e < 0)
      return e;
  }
  waitq_wake(&ev->wq, 0, POLLIN | POLLRDNORM, WAKE_SYNC);
  return sizeof n;
}

static u32 eventfd_poll(struct file *f, struct poller *p) {
  struct eventfd *ev = f->priv;
  u64 count;
  poll_wait(p, &ev->wq);
  count = __atomic_load_n(&ev->count, __ATOMIC_ACQUIRE);
  return (count > 0 ? POLLIN | POLLRDNORM : 0) | (count < COUNT_MAX ? POLLOUT | POLLWRNORM : 0);
}

static int eventfd_stat(struct file *f, struct kstat *st) {
  (void)f;
  anon_stat(st, 1, 0600);
  return 0;
}

static void eventfd_release(struct file *f) { kfree(f->priv); }

static const struct file_ops eventfd_ops = {
    .name = "anon_inode:[eventfd]",
    .read = eventfd_read,
    .write = eventfd_write,
    .poll = eventfd_poll,
    .stat = eventfd_stat,
    .release = eventfd_release,
};

static i64 make_eventfd(u32 count, u32 flags) {
  struct eventfd *ev;
  struct file *f;
  int fd;
  if (flags & ~(u32)(EFD_SEMAPHORE | O_CLOEXEC | O_NONBLOCK))
    return -EINVAL;
  ev = kzalloc(sizeof *ev);
  if (!ev)
    return -ENOMEM;
  ev->count = count;
  ev->semaphore = flags & EFD_SEMAPHORE;
  waitq_init(&ev->wq);
  f = file_alloc(&eventfd_ops, O_RDWR | (flags & O_NONBLOCK), ev);
  if (!f) {
    kfree(ev);
    return -ENOMEM;
  }
  fd = fd_install(f, flags, 0);
  if (fd < 0)
    file_put(f);
  return fd;
}

i64 sys_eventfd(struct uregs *r) { return make_eventfd((u32)r->rdi, 0); }
i64 sys_eventfd2(struct uregs *r) { return make_eventfd((u32)r->rdi, (u32)r->rsi); }
