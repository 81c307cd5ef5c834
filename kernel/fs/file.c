/* SPDX-License-Identifier: MIT */
/* Open files: life, transfers, identity. */
#include "kernel/fs/file.h"
#include "kernel/fs/async.h"
#include "kernel/fs/epoll.h"
#include "kernel/fs/flock.h"
#include "kernel/fs/vfs.h"
#include "kernel/fs/watch.h"
#include "kernel/mm/kmalloc.h"
#include "kernel/proc/proc.h"
#include "kernel/signal/signal.h"

struct file *file_alloc(const struct file_ops *ops, u32 flags, void *priv) {
  struct file *f = kmalloc_as(KMEM_FILE, sizeof *f);
  if (!f)
    return NULL;
  f->refs = 1;
  f->flags = flags & ~(u32)O_CLOEXEC;
  f->ops = ops;
  f->inode = NULL;
  f->dentry = NULL;
  mutex_init(&f->pos_lock);
  f->pos = 0;
  f->priv = priv;
  list_init(&f->epoll_watches);
  f->epoll_lock = (struct spin)SPIN_INIT;
  f->epoll_watched = false;
  f->async = NULL;
  f->in_flight = 0;
  return f;
}

static bool may_read(const struct file *f) { return (f->flags & O_ACCMODE) != O_WRONLY; }
static bool may_write(const struct file *f) { return (f->flags & O_ACCMODE) != O_RDONLY; }

void (*file_only_in_flight)(void);

void file_get(struct file *f) { __atomic_fetch_add(&f->refs, 1, __ATOMIC_RELAXED); }

void file_put(struct file *f) {
  if (!f)
    return;
  u32 in_flight = __atomic_load_n(&f->in_flight, __ATOMIC_ACQUIRE); /* f may go at any time now */
  u32 left = __atomic_sub_fetch(&f->refs, 1, __ATOMIC_ACQ_REL);
  if (left != 0) {
    if (unlikely(left == in_flight))
      __atomic_load_n(&file_only_in_flight, __ATOMIC_RELAXED)();
    return;
  }
  watch_file(f, may_write(f) ? IN_CLOSE_WRITE : IN_CLOSE_NOWRITE);
  if (f->epoll_watched)
    epoll_file_released(f);
  if (f->async)
    async_file_released(f);
  if (f->inode && f->inode->locks)
    flock_release(f);
  if (f->ops->release)
    f->ops->release(f);
  dentry_put(f->dentry);
  inode_put(f->inode);
  kfree_as(KMEM_FILE, f);
}

/* ---- transfers ------------------------------------------------------------------------ */

static int no_transfer(const struct file *f) {
  return f->inode && S_ISDIR(f->inode->mode) ? -EISDIR : -EINVAL;
}

i64 file_read_at(struct file *f, struct uio *u, u64 *pos) {
  if (unlikely(f->flags & O_PATH) || !may_read(f))
    return -EBADF;
  if (unlikely(!f->ops->read))
    return no_transfer(f);
  i64 n = f->ops->read(f, u, pos);
  if (n > 0)
    watch_file(f, IN_ACCESS);
  return n;
}

static u64 size_limit(void) {
  struct proc *p = proc_current();
  return p ? p->limits[RLIMIT_FSIZE].cur : RLIM_INFINITY;
}

static bool size_limited(const struct file *f) {
  return unlikely(size_limit() != RLIM_INFINITY) && f->inode && S_ISREG(f->inode->mode);
}

/* RLIMIT_FSIZE: shortens the transfer, or SIGXFSZ and -EFBIG. */
static int limit_size(struct file *f, struct uio *u, u64 pos) {
  u64 limit = size_limit();
  struct kstat st;
  if ((f->flags & O_APPEND) && inode_getattr(f->inode, &st) == 0)
    pos = st.size;
  if (pos >= limit) {
    signal_send_thread(thread_current(), SIGXFSZ, NULL);
    return -EFBIG;
  }
  u->left = min_u64(u->left, limit - pos);
  return 0;
}

static i64 wrote(struct file *f, i64 n) {
  if (n > 0)
    watch_file(f, IN_MODIFY);
  return n;
}

i64 file_write_at(struct file *f, struct uio *u, u64 *pos) {
  int e;
  if (unlikely(f->flags & O_PATH) || !may_write(f))
    return -EBADF;
  if (unlikely(!f->ops->write))
    return no_transfer(f);
  e = size_limited(f) ? limit_size(f, u, *pos) : 0;
  return e < 0 ? e : wrote(f, f->ops->write(f, u, pos));
}

/* A log that several processes append to: their turns are the file system's business. */
static bool appends_alone(const struct file *f) {
  return f->ops->append && (f->flags & (O_APPEND | O_PATH)) == O_APPEND && may_write(f) &&
         !size_limited(f);
}

/* Only files that can be positioned share a position worth a lock. */
i64 file_read(struct file *f, struct uio *u) {
  i64 n;
  if (!f->ops->seek)
    return file_read_at(f, u, &f->pos);
  mutex_lock(&f->pos_lock);
  n = file_read_at(f, u, &f->pos);
  mutex_unlock(&f->pos_lock);
  return n;
}

i64 file_write(struct file *f, struct uio *u) {
  i64 n;
  if (!f->ops->seek)
    return file_write_at(f, u, &f->pos);
  if (appends_alone(f))
    return wrote(f, f->ops->append(f, u));
  mutex_lock(&f->pos_lock);
  n = file_write_at(f, u, &f->pos);
  mutex_unlock(&f->pos_lock);
  return n;
}

i64 file_send(struct file *out, struct file *in, u64 *pos, u64 n) {
  i64 sent;
  if (((in->flags | out->flags) & O_PATH) || !may_read(in) || !may_write(out))
    return -EBADF;
  if (!out->ops->send_file)
    return -EOPNOTSUPP;
  if (pos)
    return out->ops->send_file(out, in, pos, n);
  mutex_lock(&in->pos_lock);
  sent = out->ops->send_file(out, in, &in->pos, n);
  mutex_unlock(&in->pos_lock);
  return sent;
}

i64 file_pread_kernel(struct file *f, void *buf, size_t n, u64 pos) {
  size_t done = 0;
  while (done < n) {
    struct uio u;
    i64 got;
    uio_init_kernel(&u, (char *)buf + done, n - done);
    got = file_read_at(f, &u, &pos);
    uio_destroy(&u);
    if (got < 0)
      return done ? (i64)done : got;
    if (got == 0)
      break;
    done += (size_t)got;
  }
  return (i64)done;
}

i64 seek_in_size(struct file *f, i64 off, int whence, u64 size) {
  i64 base;
  switch (whence) {
  case 0: /* SEEK_SET */
    base = 0;
    break;
  case 1: /* SEEK_CUR */
    base = (i64)f->pos;
    break;
  case 2: /* SEEK_END */
    base = (i64)size;
    break;
  case 3: /* SEEK_DATA: a file is one piece of data ... */
  case 4: /* SEEK_HOLE: ... with a hole at its end */
    if (off < 0 || (u64)off >= size)
      return -ENXIO;
    f->pos = whence == 3 ? (u64)off : size;
    return (i64)f->pos;
  default:
    return -EINVAL;
  }
  if (__builtin_add_overflow(base, off, &base))
    return -EOVERFLOW;
  if (base < 0)
    return -EINVAL;
  f->pos = (u64)base;
  return base;
}

int file_getattr(struct file *f, struct kstat *st) {
  if (f->ops->stat)
    return f->ops->stat(f, st);
  if (f->inode)
    return inode_getattr(f->inode, st);
  return -EBADF;
}

u32 file_poll(struct file *f, struct poller *p) {
  return f->ops->poll ? f->ops->poll(f, p) : POLLIN | POLLOUT | POLLRDNORM | POLLWRNORM;
}

int file_identity(struct file *f, struct file_identity *id) {
  struct kstat st;
  int e = file_getattr(f, &st);
  if (e < 0)
    return e;
  *id = (struct file_identity){
      .fs = st.dev,
      .ino = st.ino,
      .size = st.size,
      .mtime_ns = (u64)st.mtime,
      .version = st.version ? st.version : (u64)st.ctime,
  };
  return 0;
}
