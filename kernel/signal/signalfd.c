/* SPDX-License-Identifier: MIT */
/*
 * signalfd: blocked signals as something to read. What a reader or poller sees are its own pending
 * signals (thread, then process), whoever made the descriptor, as on Linux.
 *
 * Sleepers wait on one of a few static queues, chosen by process: a queue inside of the process
 * could end before an epoll that still watches it (an epoll passed to a child). Others of the same
 * queue look once more for nothing.
 */
#include "kernel/fs/fdtable.h"
#include "kernel/fs/vfs.h"
#include "kernel/mm/kmalloc.h"
#include "kernel/signal/sig.h"
#include "kernel/syscall/syscall.h"
#include "lib/string.h"

#define NQUEUES 64

struct signalfd {
  u64 mask; /* atomic */
};

/* struct signalfd_siginfo of Linux. */
struct signalfd_info {
  u32 signo;
  i32 err, code;
  u32 pid, uid;
  i32 fd;
  u32 tid, band, overrun, trapno;
  i32 status, int_;
  u64 ptr, utime, stime, addr;
  u16 addr_lsb, pad2;
  i32 syscall;
  u64 call_addr;
  u32 arch;
  u8 pad[28];
};
_Static_assert(sizeof(struct signalfd_info) == 128, "Linux's layout");

static struct waitq queues[NQUEUES];
static struct spin init_lock;
static bool initialised; /* the queues are, since the first signalfd was made */

static struct waitq *queue_of(const struct proc *p) { return &queues[(unsigned)p->pid % NQUEUES]; }

static void queues_init(void) {
  spin_lock(&init_lock);
  for (unsigned k = 0; k < NQUEUES && !initialised; k++)
    waitq_init(&queues[k]);
  __atomic_store_n(&initialised, true, __ATOMIC_RELEASE);
  spin_unlock(&init_lock);
}

void signalfd_notify(struct proc *p) {
  if (__atomic_load_n(&initialised, __ATOMIC_ACQUIRE))
    waitq_wake(queue_of(p), 0, POLLIN | POLLRDNORM, 0);
}

/* ---- what is there -------------------------------------------------------------------------- */

static u64 mask_of(const struct signalfd *s) { return __atomic_load_n(&s->mask, __ATOMIC_RELAXED); }

static bool ready(const struct signalfd *s) {
  struct thread *t = thread_current();
  u64 pending = __atomic_load_n(&t->sig->pending.set, __ATOMIC_SEQ_CST) |
                __atomic_load_n(&t->proc->sighand->shared.set, __ATOMIC_SEQ_CST);
  return pending & mask_of(s);
}

static void encode(const struct ksiginfo *i, struct signalfd_info *out) {
  memset(out, 0, sizeof *out);
  out->signo = (u32)i->signo;
  out->err = i->err;
  out->code = i->code;
  if (i->code == SI_TIMER) {
    out->tid = (u32)i->timerid;
    out->overrun = (u32)i->overrun;
  } else if (signal_has_address(i)) {
    out->addr = i->addr;
    return;
  } else {
    out->pid = (u32)i->pid;
    out->uid = i->uid;
  }
  if (i->signo == SIGCHLD && i->code > 0) {
    out->status = i->status;
    return;
  }
  out->ptr = i->value;
  out->int_ = (i32)i->value;
}

/* The next one for a reader; 0, or -EAGAIN, -ERESTARTSYS. */
static int take(struct file *f, struct ksiginfo *info, bool wait) {
  struct signalfd *s = f->priv;
  for (;;) {
    int e;
    if (signal_take(mask_of(s), info) != 0)
      return 0;
    if (!wait)
      return -EAGAIN;
    e = waitq_wait(queue_of(proc_current()), ready(s));
    if (e < 0)
      return e;
  }
}

/* ---- the descriptor -------------------------------------------------------------------------- */

static i64 signalfd_read(struct file *f, struct uio *u, u64 *pos) {
  i64 done = 0;
  (void)pos;
  if (u->left < sizeof(struct signalfd_info))
    return -EINVAL;
  while (u->left >= sizeof(struct signalfd_info)) {
    struct signalfd_info out;
    struct ksiginfo info;
    i64 n = take(f, &info, done == 0 && !(f->flags & O_NONBLOCK));
    if (n < 0)
      return done ? done : n;
    encode(&info, &out);
    n = uio_write_to(u, &out, sizeof out);
    if (n < (i64)sizeof out) /* the signal is lost, as on Linux */
      return done ? done : -EFAULT;
    done += n;
  }
  return done;
}

static u32 signalfd_poll(struct file *f, struct poller *p) {
  poll_wait(p, queue_of(proc_current()));
  return ready(f->priv) ? POLLIN | POLLRDNORM : 0;
}

static int signalfd_stat(struct file *f, struct kstat *st) {
  (void)f;
  anon_stat(st, 1, 0600);
  return 0;
}

static void signalfd_release(struct file *f) { kfree(f->priv); }

static const struct file_ops signalfd_ops = {
    .name = "anon_inode:[signalfd]",
    .read = signalfd_read,
    .poll = signalfd_poll,
    .stat = signalfd_stat,
    .release = signalfd_release,
};

/* ---- system calls ---------------------------------------------------------------------------- */

static i64 create(u64 mask, u32 flags) {
  struct signalfd *s = kzalloc(sizeof *s);
  struct file *f;
  int fd;
  if (!s)
    return -ENOMEM;
  queues_init();
  s->mask = mask;
  f = file_alloc(&signalfd_ops, O_RDWR | (flags & O_NONBLOCK), s);
  if (!f) {
    kfree(s);
    return -ENOMEM;
  }
  fd = fd_install(f, flags, 0);
  if (fd < 0)
    file_put(f);
  return fd;
}

/* A new mask for an existing descriptor: whoever waits looks again. */
static i64 change(int fd, u64 mask) {
  struct file *f = fd_get(fd);
  i64 ret = fd;
  if (!f)
    return -EBADF;
  if (f->ops == &signalfd_ops) {
    struct signalfd *s = f->priv;
    __atomic_store_n(&s->mask, mask, __ATOMIC_SEQ_CST);
    for (unsigned k = 0; k < NQUEUES; k++)
      waitq_wake(&queues[k], 0, POLLIN | POLLRDNORM, 0);
  } else {
    ret = -EINVAL;
  }
  file_put(f);
  return ret;
}

static i64 make_signalfd(int fd, u64 uaddr, u64 size, u32 flags) {
  u64 mask;
  if (size != SIGSET_SIZE)
    return -EINVAL;
  if (copy_from_user(&mask, uaddr, sizeof mask) < 0)
    return -EFAULT;
  if (flags & ~(u32)(O_CLOEXEC | O_NONBLOCK))
    return -EINVAL;
  mask &= ~SIG_UNBLOCKABLE;
  return fd == -1 ? create(mask, flags) : change(fd, mask);
}

i64 sys_signalfd(struct uregs *r) { return make_signalfd((int)r->rdi, r->rsi, r->rdx, 0); }
i64 sys_signalfd4(struct uregs *r) {
  return make_signalfd((int)r->rdi, r->rsi, r->rdx, (u32)r->r10);
}
