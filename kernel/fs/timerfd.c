/* SPDX-License-Identifier: MIT */
/*
 * timerfd: expirations as something to read. The kernel timer fires at the next expiration; how
 * many there have been is computed from the time when somebody asks.
 */
#include "kernel/fs/fdtable.h"
#include "kernel/fs/vfs.h"
#include "kernel/mm/kmalloc.h"
#include "kernel/syscall/syscall.h"
#include "kernel/time/timer.h"

#define CLOCK_REALTIME 0
#define CLOCK_MONOTONIC 1
#define CLOCK_BOOTTIME 7
#define TFD_TIMER_ABSTIME 1u
#define NSEC 1000000000UL

struct timerfd {
  struct ktimer timer;
  struct mutex ctl; /* settime */
  struct spin lock; /* all below */
  u64 next;         /* plat_now of the next expiration; 0: disarmed */
  u64 interval;     /* 0: once */
  u64 expired;      /* not read yet */
  int clock;
  struct waitq wq;
};

/* Counts what has expired until now and moves `next` on. Lock held. */
static void catch_up(struct timerfd *t, u64 now) {
  u64 n;
  if (!t->next || now < t->next)
    return;
  n = t->interval ? (now - t->next) / t->interval + 1 : 1;
  t->expired += n;
  t->next = t->interval ? t->next + n * t->interval : 0;
}

static void fire(struct ktimer *k) {
  struct timerfd *t = container_of(k, struct timerfd, timer);
  u64 next;
  spin_lock(&t->lock);
  catch_up(t, plat_now());
  next = t->next;
  spin_unlock(&t->lock);
  if (next)
    ktimer_arm(k, next);
  waitq_wake(&t->wq, 0, POLLIN | POLLRDNORM, 0);
}

static i64 timerfd_read(struct file *f, struct uio *u, u64 *pos) {
  struct timerfd *t = f->priv;
  u64 got;
  (void)pos;
  if (u->left < sizeof got)
    return -EINVAL;
  for (;;) {
    int e;
    spin_lock(&t->lock);
    got = t->expired;
    t->expired = 0;
    spin_unlock(&t->lock);
    if (got)
      return uio_write_to(u, &got, sizeof got);
    if (f->flags & O_NONBLOCK)
      return -EAGAIN;
    e = waitq_wait(&t->wq, __atomic_load_n(&t->expired, __ATOMIC_ACQUIRE) != 0);
    if (e < 0)
      return e;
  }
}

static u32 timerfd_poll(struct file *f, struct poller *p) {
  struct timerfd *t = f->priv;
  poll_wait(p, &t->wq);
  return __atomic_load_n(&t->expired, __ATOMIC_ACQUIRE) ? POLLIN | POLLRDNORM : 0;
}

static int timerfd_stat(struct file *f, struct kstat *st) {
  (void)f;
  anon_stat(st, 1, 0600);
  return 0;
}

static void timerfd_release(struct file *f) {
  struct timerfd *t = f->priv;
  spin_lock(&t->lock);
  t->next = 0; /* fire does not arm it again */
  spin_unlock(&t->lock);
  ktimer_cancel(&t->timer);
  kfree(t);
}

static const struct file_ops timerfd_ops = {
    .name = "anon_inode:[timerfd]",
    .read = timerfd_read,
    .poll = timerfd_poll,
    .stat = timerfd_stat,
    .release = timerfd_release,
};

i64 sys_timerfd_create(struct uregs *r) {
  int clock = (int)r->rdi, fd;
  struct timerfd *t;
  struct file *f;
  if ((clock != CLOCK_REALTIME && clock != CLOCK_MONOTONIC && clock != CLOCK_BOOTTIME) ||
      (r->rsi & ~(u64)(O_CLOEXEC | O_NONBLOCK)))
    return -EINVAL;
  t = kzalloc(sizeof *t);
  if (!t)
    return -ENOMEM;
  ktimer_init(&t->timer, fire);
  mutex_init(&t->ctl);
  waitq_init(&t->wq);
  t->clock = clock;
  f = file_alloc(&timerfd_ops, O_RDWR | ((u32)r->rsi & O_NONBLOCK), t);
  if (!f) {
    kfree(t);
    return -ENOMEM;
  }
  fd = fd_install(f, (u32)r->rsi, 0);
  if (fd < 0)
    file_put(f);
  return fd;
}

struct user_itimerspec {
  i64 interval[2], value[2];
};

static bool valid_time(const i64 *t) { return t[0] >= 0 && t[1] >= 0 && t[1] < (i64)NSEC; }

static u64 to_ns(const i64 *t) {
  return (u64)t[0] > UINT64_MAX / NSEC / 4 ? UINT64_MAX / 4 : (u64)t[0] * NSEC + (u64)t[1];
}

static struct user_itimerspec current(struct timerfd *t) {
  u64 left = 0, now = plat_now();
  struct user_itimerspec s;
  spin_lock(&t->lock);
  catch_up(t, now);
  if (t->next)
    left = t->next - now;
  s.interval[0] = (i64)(t->interval / NSEC);
  s.interval[1] = (i64)(t->interval % NSEC);
  spin_unlock(&t->lock);
  s.value[0] = (i64)(left / NSEC);
  s.value[1] = (i64)(left % NSEC);
  return s;
}

/* plat_now of the first expiration. */
static u64 first_expiration(const struct timerfd *t, u64 value, bool absolute) {
  u64 now = plat_now(), wall;
  if (!absolute)
    return now + value;
  if (t->clock != CLOCK_REALTIME)
    return value ? value : 1;
  wall = plat_walltime();
  return value > wall ? now + (value - wall) : now;
}

static void set_timer(struct timerfd *t, const struct user_itimerspec *s, bool absolute) {
  u64 value = to_ns(s->value), next = value ? first_expiration(t, value, absolute) : 0;
  mutex_lock(&t->ctl);
  spin_lock(&t->lock);
  t->next = 0;
  spin_unlock(&t->lock);
  ktimer_cancel(&t->timer);
  spin_lock(&t->lock);
  t->next = next;
  t->interval = to_ns(s->interval);
  t->expired = 0;
  spin_unlock(&t->lock);
  if (next)
    ktimer_arm(&t->timer, next);
  mutex_unlock(&t->ctl);
}

static i64 settime(struct file *f, u32 flags, u64 new_addr, u64 old_addr) {
  struct user_itimerspec s, old;
  if (f->ops != &timerfd_ops || (flags & ~3u)) /* 2: CANCEL_ON_SET, the clock is never set */
    return -EINVAL;
  if (copy_from_user(&s, new_addr, sizeof s) < 0)
    return -EFAULT;
  if (!valid_time(s.value) || !valid_time(s.interval))
    return -EINVAL;
  old = current(f->priv);
  set_timer(f->priv, &s, flags & TFD_TIMER_ABSTIME);
  return old_addr ? copy_to_user(old_addr, &old, sizeof old) : 0;
}

i64 sys_timerfd_settime(struct uregs *r) {
  struct file *f = fd_get((int)r->rdi);
  i64 e;
  if (!f)
    return -EBADF;
  e = settime(f, (u32)r->rsi, r->rdx, r->r10);
  file_put(f);
  return e;
}

i64 sys_timerfd_gettime(struct uregs *r) {
  struct file *f = fd_get((int)r->rdi);
  struct user_itimerspec s;
  i64 e = -EINVAL;
  if (!f)
    return -EBADF;
  if (f->ops == &timerfd_ops) {
    s = current(f->priv);
    e = copy_to_user(r->rsi, &s, sizeof s);
  }
  file_put(f);
  return e;
}
