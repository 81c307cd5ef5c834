/* SPDX-License-Identifier: MIT */
/* Open files and directories of a 9P export. Nothing is cached: a write that has returned is the
   server's, and so survives whatever happens to this machine. */
#include "plat/pc/p9/p9fs.h"

static struct p9_inode *inode_of(const struct file *f) { return p9_inode_of(f->inode); }

/* ---- files
 * -------------------------------------------------------------------------------------------- */

static i64 file_read_op(struct file *f, struct uio *u, u64 *pos) {
  struct p9_fid *fid = f->priv;
  i64 sum = 0, n = 0;
  while (u->left > 0) {
    u64 asked = min_u64(u->left, fid->session->data_max);
    n = p9_read(fid, *pos, u);
    if (n <= 0)
      break;
    *pos += (u64)n;
    sum += n;
    if ((u64)n < asked)
      break;
  }
  p9_inode_reaches(inode_of(f), sum ? *pos : 0);
  return sum ? sum : n;
}

static i64 write_pieces(struct file *f, struct uio *u, u64 *pos) {
  struct p9_fid *fid = f->priv;
  i64 sum = 0, n = 0;
  while (u->left > 0) {
    u64 asked = min_u64(u->left, fid->session->data_max);
    if (*pos > (u64)INT64_MAX - asked)
      n = -EFBIG;
    else
      n = p9_write(fid, *pos, u);
    if (n <= 0)
      break;
    *pos += (u64)n;
    sum += n;
    if ((u64)n < asked)
      break;
  }
  p9_inode_reaches(inode_of(f), sum ? *pos : 0);
  return sum ? sum : n;
}

static i64 append(struct file *f, struct uio *u, u64 *pos) {
  struct kstat st;
  i64 n;
  mutex_lock(&f->inode->lock);
  n = p9_inode_stat(inode_of(f), f->priv, &st);
  if (n == 0) {
    *pos = st.size;
    n = write_pieces(f, u, pos);
  }
  mutex_unlock(&f->inode->lock);
  return n;
}

static i64 file_write_op(struct file *f, struct uio *u, u64 *pos) {
  return f->flags & O_APPEND ? append(f, u, pos) : write_pieces(f, u, pos);
}

static i64 file_seek_op(struct file *f, i64 off, int whence) {
  struct kstat st = {.size = 0};
  int e = whence >= 2 ? p9_inode_stat(inode_of(f), f->priv, &st) : 0;
  return e < 0 ? e : seek_in_size(f, off, whence, st.size);
}

static int any_stat_op(struct file *f, struct kstat *st) {
  return p9_inode_stat(inode_of(f), f->priv, st);
}

static int file_truncate_op(struct file *f, u64 size) {
  struct iattr a = {.valid = ATTR_SIZE, .size = size};
  mutex_lock(&f->inode->lock);
  int e = p9_inode_set(inode_of(f), f->priv, &a);
  mutex_unlock(&f->inode->lock);
  return e;
}

static int any_sync_op(struct file *f, bool data_only) { return p9_fsync(f->priv, data_only); }

static void any_release_op(struct file *f) { p9_fid_put(f->priv); }

const struct file_ops p9_file_ops = {
    .name = "9p",
    .read = file_read_op,
    .write = file_write_op,
    .seek = file_seek_op,
    .stat = any_stat_op,
    .truncate = file_truncate_op,
    .sync = any_sync_op,
    .release = any_release_op,
};

/* ---- directories
 * -------------------------------------------------------------------------------------- */

struct listing {
  struct file *f;
  struct uio *u;
};

static int emit(void *arg, const struct p9_entry *e) {
  struct listing *l = arg;
  int full = dirent_emit(l->u, e->qid.path, e->next, (u32)e->type << 12, e->name);
  if (full == 0)
    l->f->pos = e->next;
  return full;
}

static i64 dir_read(struct file *f, struct uio *u) {
  struct listing l = {f, u};
  u64 before = u->left;
  i64 n;
  do
    n = p9_readdir(f->priv, f->pos, u->left, emit, &l);
  while (n > 0 && u->left > 0);
  u64 done = before - u->left;
  return done ? (i64)done : n < 0 ? n : 0;
}

static i64 dir_seek(struct file *f, i64 off, int whence) {
  i64 at = whence == 1 ? (i64)f->pos + off : off;
  if (whence < 0 || whence > 1 || at < 0)
    return -EINVAL;
  f->pos = (u64)at;
  return at;
}

const struct file_ops p9_dir_ops = {
    .name = "9p",
    .seek = dir_seek,
    .stat = any_stat_op,
    .readdir = dir_read,
    .sync = any_sync_op,
    .release = any_release_op,
};
