/* SPDX-License-Identifier: MIT */
#include "plat/hosted/hostfile.h"
#include "kernel/fs/vfs.h"
#include "kernel/mm/kmalloc.h"
#include "lib/string.h"
#include "plat/hosted/behind.h"
#include "plat/hosted/hostxfer.h"
#include "plat/hosted/linux.h"
#include "plat/hosted/memobj.h"
#include "plat/hosted/offload.h"
#include "plat/hosted/together.h"

#define HOST_RWF_APPEND 0x10
#define DIR_BUFFER 2048
#define GATHERED_MAX ((u64)1 << 20)

static struct host_open *of(const struct file *f) { return f->priv; }
static int fd_of(const struct file *f) { return of(f)->fd; }

int host_open_create(int fd, struct host_open **out) {
  struct host_open *o = kmalloc(sizeof(*o));
  if (!o) {
    lx1(close, fd);
    return -ENOMEM;
  }
  *o = (struct host_open){.refs = 1, .fd = fd};
  *out = o;
  return 0;
}

struct host_open *host_open_get(struct host_open *o) {
  __atomic_fetch_add(&o->refs, 1, __ATOMIC_RELAXED);
  return o;
}

void host_open_put(struct host_open *o) {
  if (__atomic_sub_fetch(&o->refs, 1, __ATOMIC_ACQ_REL) != 0)
    return;
  behind_settle(o);
  lx1(close, o->fd);
  kfree(o);
}

/* After an append only the host knows where the file's position is; most programs never ask. An
   append that ends meanwhile says so once more. pos_lock held. */
static void learn_position(struct file *f) {
  if (likely(!__atomic_load_n(&of(f)->appended, __ATOMIC_RELAXED)))
    return;
  __atomic_store_n(&of(f)->appended, false, __ATOMIC_SEQ_CST);
  i64 at = lx3(lseek, fd_of(f), 0, 1);
  if (at >= 0)
    f->pos = (u64)at;
}

static i64 file_read_op(struct file *f, struct uio *u, u64 *pos) {
  i64 sum = 0, n;
  together_end();
  behind_settle_all();
  if (pos == &f->pos)
    learn_position(f);
  do {
    n = HOST_XFER(u, SIZE_MAX, true, lx5(preadv, fd_of(f), iov, n_iov, *pos, 0));
    if (n > 0) {
      *pos += (u64)n;
      sum += n;
    }
  } while (n > 0 && u->left > 0);
  return sum ? sum : n;
}

/* HOST_POSITION: the host's own position, which it moves; otherwise that stays. */
#define HOST_POSITION ((u64)-1)

static i64 append_call(struct file *f, const struct lx_iovec *iov, int n_iov, u64 pos) {
  bool whole = __atomic_load_n(&of(f)->appends, __ATOMIC_RELAXED) && pos == HOST_POSITION;
  if (whole && n_iov == 1) /* a little cheaper */
    return lx3(write, fd_of(f), iov->base, iov->len);
  return lx6(pwritev2, fd_of(f), iov, n_iov, pos, 0, HOST_RWF_APPEND);
}

static i64 append_at(struct file *f, struct uio *u, u64 pos) {
  i64 sum = 0, n;
  do {
    n = HOST_XFER(u, SIZE_MAX, false, append_call(f, iov, n_iov, pos));
    if (n > 0)
      sum += n;
  } while (n > 0 && u->left > 0);
  return sum ? sum : n;
}

/* Many pieces go through a buffer: others who append at the same time must not come between. */
static i64 append_gathered(struct file *f, struct uio *u) {
  char *buf = kmalloc(u->left);
  if (!buf)
    return append_at(f, u, HOST_POSITION);
  i64 n = uio_read_from(u, buf, u->left);
  if (n > 0) {
    struct lx_iovec iov = {buf, (u64)n};
    n = LX_RETRY(append_call(f, &iov, 1, HOST_POSITION));
  }
  kfree(buf);
  return n;
}

static i64 file_append_op(struct file *f, struct uio *u) {
  together_end();
  behind_settle_all();
  bool gathered = u->count - u->at > HOST_IOV_MAX && u->left <= GATHERED_MAX;
  i64 n = gathered ? append_gathered(f, u) : append_at(f, u, HOST_POSITION);
  if (n > 0)
    __atomic_store_n(&of(f)->appended, true, __ATOMIC_SEQ_CST);
  return n;
}

static i64 file_write_op(struct file *f, struct uio *u, u64 *pos) {
  i64 sum = 0, n;
  together_end();
  bool moves = pos == &f->pos;
  if (f->flags & O_APPEND)
    return moves ? file_append_op(f, u) : append_at(f, u, 0);
  if (moves) {
    learn_position(f);
    n = behind_write(f, of(f), u);
    if (n != -EAGAIN && (n < 0 || u->left == 0))
      return n;
    if (n > 0)
      sum = n;
  }
  behind_settle_all();
  do {
    n = HOST_XFER(u, SIZE_MAX, false, lx5(pwritev, fd_of(f), iov, n_iov, *pos, 0));
    if (n > 0) {
      *pos += (u64)n;
      sum += n;
    }
  } while (n > 0 && u->left > 0);
  return sum ? sum : n;
}

/* The host's own position is used for the end of the file, data and holes, and after appending. */
static i64 file_seek_op(struct file *f, i64 off, int whence) {
  i64 at;
  learn_position(f);
  if (whence == 0) {
    at = off;
  } else if (whence == 1) {
    at = (i64)f->pos + off;
  } else {
    behind_settle_all();
    at = lx3(lseek, fd_of(f), off, whence);
  }
  if (at < 0)
    return whence > 1 ? at : -EINVAL;
  f->pos = (u64)at;
  return at;
}

static int file_truncate_op(struct file *f, u64 size) {
  behind_settle_all();
  return (int)LX_RETRY(lx2(ftruncate, fd_of(f), size));
}

static int file_sync_op(struct file *f, bool data_only) {
  int late = behind_settle(of(f));
  return late ? late : (int)offload_call(data_only ? LX_fdatasync : LX_fsync, fd_of(f), 0, 0, 0);
}

static int file_sync_range_op(struct file *f, u64 off, u64 n, u32 flags) {
  int late = behind_settle(of(f));
  return late ? late : (int)offload_call(LX_sync_file_range, fd_of(f), off, n, flags);
}

static int file_memobj_op(struct file *f, struct memobj **out) {
  behind_stop();
  return memobj_from_host(fd_of(f), out);
}

static int file_set_flags_op(struct file *f, u32 flags) {
  i64 err = 0;
  mutex_lock(&f->pos_lock);
  if (of(f)->appends && !(flags & O_APPEND)) {
    learn_position(f);
    lx3(lseek, fd_of(f), f->pos, 0); /* where a write that is just going on then belongs */
    err = lx_call6(72 /* fcntl */, (u64)fd_of(f), 4 /* F_SETFL */, 0, 0, 0, 0);
    __atomic_store_n(&of(f)->appends, err < 0, __ATOMIC_RELAXED);
  }
  mutex_unlock(&f->pos_lock);
  return (int)err;
}

static int file_flush_op(struct file *f) { return behind_settle(of(f)); }

static void file_release_op(struct file *f) { host_open_put(f->priv); }

const struct file_ops host_file_ops = {
    .name = "hostfs",
    .read = file_read_op,
    .write = file_write_op,
    .append = file_append_op,
    .seek = file_seek_op,
    .truncate = file_truncate_op,
    .sync = file_sync_op,
    .sync_range = file_sync_range_op,
    .set_flags = file_set_flags_op,
    .memobj = file_memobj_op,
    .flush = file_flush_op,
    .release = file_release_op,
};

int host_file_fd(const struct file *f) { return f->ops == &host_file_ops ? fd_of(f) : -EINVAL; }

/* ---- directories ----------------------------------------------------------------------------- */

struct host_dirent {
  u64 ino, next;
  u16 reclen;
  u8 type;
  char name[];
};

/* 0, or dirent_emit's result when the reader's buffer is full. */
static int emit_batch(struct file *f, struct uio *u, const char *buf, i64 n) {
  for (i64 at = 0; at < n;) {
    const struct host_dirent *d = (const struct host_dirent *)(buf + at);
    int err = dirent_emit(u, d->ino, d->next, (u32)d->type << 12, d->name);
    if (err)
      return err;
    f->pos = d->next;
    at += d->reclen;
  }
  return 0;
}

static i64 dir_read(struct file *f, struct uio *u) {
  _Alignas(8) char buf[DIR_BUFFER];
  u64 before = u->left;
  i64 err = lx3(lseek, fd_of(f), f->pos, 0);
  while (err >= 0) {
    i64 n = lx3(getdents64, fd_of(f), buf, sizeof(buf));
    if (n == 0)
      break;
    err = n < 0 ? n : emit_batch(f, u, buf, n);
  }
  u64 done = before - u->left;
  return done ? (i64)done : err < 0 ? err : 0;
}

static i64 dir_seek(struct file *f, i64 off, int whence) {
  i64 at = whence == 1 ? (i64)f->pos + off : off;
  if (whence > 1 || at < 0)
    return -EINVAL;
  f->pos = (u64)at;
  return at;
}

const struct file_ops host_dir_ops = {
    .name = "hostfs",
    .seek = dir_seek,
    .readdir = dir_read,
    .sync = file_sync_op,
    .release = file_release_op,
};
