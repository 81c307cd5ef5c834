/* SPDX-License-Identifier: MIT */
/* inotify: a descriptor from which events of watched files are read. */
#include "kernel/fs/inotify.h"
#include "kernel/fs/fdtable.h"
#include "kernel/mm/kmalloc.h"
#include "kernel/syscall/syscall.h"

#define FIONREAD 0x541b

static u32 n_instances; /* atomic */

/* ---- the descriptor -------------------------------------------------------------------------- */

static i64 read_events(struct inotify *in, struct uio *u) {
  i64 done = 0;
  for (;;) {
    u64 bytes;
    struct inotify_event *e = inotify_take(in, u->left, &bytes);
    if (!e)
      return done || bytes == 0 ? done : -EINVAL;
    i64 n = uio_write_to(u, &e->h, sizeof e->h);
    if (n >= 0 && e->h.len)
      n = uio_write_to(u, e->name, e->h.len);
    kfree(e);
    if (n < 0)
      return done ? done : n;
    done += (i64)bytes;
  }
}

static bool has_events(struct inotify *in) {
  return __atomic_load_n(&in->n_events, __ATOMIC_ACQUIRE) != 0;
}

static i64 inotify_read(struct file *f, struct uio *u, u64 *pos) {
  struct inotify *in = f->priv;
  i64 n;
  (void)pos;
  while ((n = read_events(in, u)) == 0) {
    if (f->flags & O_NONBLOCK)
      return -EAGAIN;
    int e = waitq_wait(&in->wq, has_events(in));
    if (e < 0)
      return e;
  }
  return n;
}

static u32 inotify_poll(struct file *f, struct poller *p) {
  struct inotify *in = f->priv;
  poll_wait(p, &in->wq);
  return has_events(in) ? POLLIN | POLLRDNORM : 0;
}

static i64 inotify_ioctl(struct file *f, u32 cmd, u64 arg) {
  struct inotify *in = f->priv;
  return cmd == FIONREAD ? user_store32(arg, (u32)__atomic_load_n(&in->bytes, __ATOMIC_RELAXED))
                         : -ENOTTY;
}

static int inotify_stat(struct file *f, struct kstat *st) {
  (void)f;
  anon_stat(st, 1, 0600);
  return 0;
}

static void inotify_release(struct file *f) {
  inotify_empty(f->priv);
  kfree(f->priv);
  __atomic_sub_fetch(&n_instances, 1, __ATOMIC_RELAXED);
}

static const struct file_ops inotify_ops = {
    .name = "anon_inode:inotify",
    .read = inotify_read,
    .poll = inotify_poll,
    .ioctl = inotify_ioctl,
    .stat = inotify_stat,
    .release = inotify_release,
};

static i64 make_instance(u32 flags) {
  if (flags & ~(u32)(O_CLOEXEC | O_NONBLOCK))
    return -EINVAL;
  if (__atomic_add_fetch(&n_instances, 1, __ATOMIC_RELAXED) > INOTIFY_INSTANCES_MAX) {
    __atomic_sub_fetch(&n_instances, 1, __ATOMIC_RELAXED);
    return -EMFILE;
  }
  struct inotify *in = kzalloc(sizeof *in);
  struct file *f = in ? file_alloc(&inotify_ops, O_RDONLY | (flags & O_NONBLOCK), in) : NULL;
  if (!f) {
    kfree(in);
    __atomic_sub_fetch(&n_instances, 1, __ATOMIC_RELAXED);
    return -ENOMEM;
  }
  inotify_init_queue(in);
  int fd = fd_install(f, flags, 0);
  if (fd < 0)
    file_put(f);
  return fd;
}

i64 sys_inotify_init(struct uregs *r) {
  (void)r;
  return make_instance(0);
}
i64 sys_inotify_init1(struct uregs *r) { return make_instance((u32)r->rdi); }

static int look_up(u64 path, u32 mask, struct dentry **out) {
  struct pathname p;
  struct dentry *start;
  u32 walk = (mask & IN_DONT_FOLLOW ? 0 : WALK_FOLLOW) | (mask & IN_ONLYDIR ? WALK_DIRECTORY : 0);
  int e = pathname_get(&p, path);
  if (e < 0)
    return e;
  e = path_start(AT_FDCWD, p.s, &start);
  if (e == 0) {
    e = path_walk(start, p.s, walk, out);
    dentry_put(start);
  }
  pathname_put(&p);
  return e;
}

/* The inotify file behind fd with a reference. */
static int instance_file(int fd, struct file **out) {
  struct file *f = fd_get(fd);
  if (!f)
    return -EBADF;
  if (f->ops != &inotify_ops) {
    file_put(f);
    return -EINVAL;
  }
  *out = f;
  return 0;
}

i64 sys_inotify_add_watch(struct uregs *r) {
  u32 mask = (u32)r->rdx;
  struct file *f;
  struct dentry *d = NULL;
  if (!(mask & IN_ALL_EVENTS) || (mask & ~IN_KNOWN) ||
      (mask & (IN_MASK_ADD | IN_MASK_CREATE)) == (IN_MASK_ADD | IN_MASK_CREATE))
    return -EINVAL;
  i64 ret = instance_file((int)r->rdi, &f);
  if (ret < 0)
    return ret;
  ret = look_up(r->rsi, mask, &d);
  if (ret == 0) {
    ret = inode_permission(d->inode, MAY_READ);
    if (ret == 0)
      ret = inotify_watch(f->priv, d->inode, mask);
    dentry_put(d);
  }
  file_put(f);
  return ret;
}

i64 sys_inotify_rm_watch(struct uregs *r) {
  struct file *f;
  i64 ret = instance_file((int)r->rdi, &f);
  if (ret < 0)
    return ret;
  ret = inotify_unwatch(f->priv, (int)r->rsi);
  file_put(f);
  return ret;
}
