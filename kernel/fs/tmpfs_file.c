/* SPDX-License-Identifier: MIT */
/*
 * Contents of tmpfs files. Small ones are a buffer in the kernel heap; a file that grows beyond
 * TMPFS_SMALL bytes or is mapped shared moves into a memory object, which stays. Bytes of the
 * buffer beyond the size are zero, so that growing needs no clearing.
 *
 * The memory limit: an object's frames are the platform's, and which pages have one is not known
 * here. `charged` bounds it from above: every write adds the pages it touches, up to the size.
 */
#include "kernel/fs/tmpfs.h"
#include "kernel/mm/kmalloc.h"
#include "lib/string.h"

#define SIZE_MAX_FILE (1UL << 40)

static int no_space(int e) { return e == -ENOMEM ? -ENOSPC : e; }

/* Objects are resized in steps, so that appending rarely does. */
static u64 object_size(u64 size) {
  return size < MIB(1) ? round_up(size, KIB(64)) : round_up(size, MIB(1));
}

static u64 bytes_used; /* sum of `charged` */

u64 tmpfs_bytes_used(void) { return __atomic_load_n(&bytes_used, __ATOMIC_RELAXED); }

static void set_charge(struct tmp_inode *t, u64 charge) {
  __atomic_add_fetch(&bytes_used, charge - t->reg.charged, __ATOMIC_RELAXED);
  t->reg.charged = charge;
}

/* Pages [from, to) are about to be written in a file of `size` bytes. */
static int charge_write(struct tmp_inode *t, u64 from, u64 to, u64 size) {
  u64 touched = round_up(to, PAGE_SIZE) - round_down(from, PAGE_SIZE);
  u64 charge = min_u64(t->reg.charged + touched, round_up(size, PAGE_SIZE));
  if (charge > t->reg.charged &&
      plat_mem_used() + tmpfs_bytes_used() + (charge - t->reg.charged) > plat_mem_limit())
    return -ENOSPC;
  set_charge(t, max_u64(charge, t->reg.charged));
  return 0;
}

static int small_reserve(struct tmp_inode *t, u64 size) {
  u32 cap = 64;
  u8 *buf;
  if (size <= t->reg.small_cap)
    return 0;
  while (cap < size)
    cap *= 2;
  buf = kzalloc(cap);
  if (!buf)
    return -ENOSPC;
  if (t->reg.small)
    memcpy(buf, t->reg.small, t->reg.small_cap);
  kfree(t->reg.small);
  t->reg.small = buf;
  t->reg.small_cap = cap;
  return 0;
}

static int to_object(struct tmp_inode *t, u64 size) {
  struct memobj *o;
  i64 n = 0;
  int e = memobj_create(object_size(size), &o);
  if (e < 0)
    return no_space(e);
  if (t->reg.small)
    n = memobj_write(o, 0, t->reg.small, t->reg.size);
  if (n < 0) {
    memobj_put(o);
    return no_space((int)n);
  }
  kfree(t->reg.small);
  t->reg.small = NULL;
  t->reg.small_cap = 0;
  t->reg.obj = o;
  set_charge(t, round_up(t->reg.size, PAGE_SIZE));
  return 0;
}

/* Makes room for a file of this size without changing the size. */
static int reserve(struct tmp_inode *t, u64 size) {
  if (size > SIZE_MAX_FILE)
    return -EFBIG;
  if (t->reg.obj) {
    if (object_size(size) <= object_size(t->reg.size))
      return 0;
    return no_space(memobj_resize(t->reg.obj, object_size(size)));
  }
  return size <= TMPFS_SMALL ? small_reserve(t, size) : to_object(t, size);
}

/* Bytes [size, old) become zeros again. */
static int cut(struct tmp_inode *t, u64 size) {
  u64 old = t->reg.size;
  if (t->reg.small)
    memset(t->reg.small + size, 0, old - size);
  if (!t->reg.obj)
    return 0;
  int e = memobj_punch(t->reg.obj, size, object_size(old) - size);
  if (e == 0 && object_size(size) < object_size(old))
    e = memobj_resize(t->reg.obj, object_size(size));
  if (e == 0)
    set_charge(t, min_u64(t->reg.charged, round_up(size, PAGE_SIZE)));
  return e;
}

int tmp_file_resize(struct tmp_inode *t, u64 size) {
  if (size < t->reg.size && (t->reg.seals & F_SEAL_SHRINK))
    return -EPERM;
  if (size > t->reg.size && (t->reg.seals & F_SEAL_GROW))
    return -EPERM;
  int e = size < t->reg.size ? cut(t, size) : reserve(t, size);
  if (e == 0) {
    t->reg.size = size;
    t->version++;
  }
  return e;
}

void tmp_file_free(struct tmp_inode *t) {
  kfree(t->reg.small);
  if (!t->reg.obj)
    return;
  set_charge(t, 0);
  memobj_put(t->reg.obj);
}

/* ---- transfers; lock held -------------------------------------------------------------------- */

/* One piece of u from or to the object; absent user pages are made present once. */
static i64 object_piece(struct memobj *o, u64 at, struct uio *u, u64 most, bool to_object_) {
  size_t n;
  void *p = uio_piece(u, &n);
  i64 done;
  if (!p)
    return -EFAULT;
  n = min_u64(n, most);
  done = to_object_ ? memobj_write(o, at, p, n) : memobj_read(o, at, p, n);
  if (done == -EFAULT && !u->kernel &&
      user_populate(u->segs[u->at].base + u->seg_off, n, !to_object_) == 0)
    done = to_object_ ? memobj_write(o, at, p, n) : memobj_read(o, at, p, n);
  if (done > 0)
    uio_advance(u, (size_t)done);
  return done;
}

static i64 object_transfer(struct memobj *o, u64 at, struct uio *u, u64 most, bool to_object_) {
  i64 done = 0;
  while (u->left > 0 && (u64)done < most) {
    i64 n = object_piece(o, at + (u64)done, u, most - (u64)done, to_object_);
    if (n <= 0)
      return done ? done : n;
    done += n;
  }
  return done;
}

static i64 read_locked(struct tmp_inode *t, struct uio *u, u64 pos) {
  u64 n;
  if (pos >= t->reg.size || u->left == 0)
    return 0;
  n = min_u64(u->left, t->reg.size - pos);
  if (t->reg.obj)
    return object_transfer(t->reg.obj, pos, u, n, false);
  return uio_write_to(u, t->reg.small + pos, n);
}

static i64 write_locked(struct tmp_inode *t, struct uio *u, u64 pos) {
  u64 end;
  i64 n;
  int e;
  if (u->left == 0)
    return 0;
  if (__builtin_add_overflow(pos, u->left, &end) || end > SIZE_MAX_FILE)
    return -EFBIG;
  if (t->reg.seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE))
    return -EPERM;
  if (end > t->reg.size && (t->reg.seals & F_SEAL_GROW))
    return -EPERM;
  if (end > t->reg.size && (e = reserve(t, end)) < 0)
    return e;
  if (t->reg.obj && (e = charge_write(t, pos, end, max_u64(end, t->reg.size))) < 0)
    return e;
  n = t->reg.obj ? object_transfer(t->reg.obj, pos, u, u->left, true)
                 : uio_read_from(u, t->reg.small + pos, u->left);
  if (n <= 0)
    return no_space((int)n);
  t->reg.size = max_u64(t->reg.size, pos + (u64)n);
  t->version++;
  return n;
}

/* ---- file operations
 * ----------------------------------------------------------------------------- */

static i64 tmp_read(struct file *f, struct uio *u, u64 *pos) {
  struct tmp_inode *t = tmp_inode(f->inode);
  i64 n;
  mutex_lock(&t->inode.lock);
  n = read_locked(t, u, *pos);
  mutex_unlock(&t->inode.lock);
  if (n > 0)
    *pos += (u64)n;
  return n;
}

static i64 tmp_write(struct file *f, struct uio *u, u64 *pos) {
  struct tmp_inode *t = tmp_inode(f->inode);
  i64 n;
  mutex_lock(&t->inode.lock);
  if (f->flags & O_APPEND)
    *pos = t->reg.size;
  n = write_locked(t, u, *pos);
  if (n > 0)
    tmp_touch(t);
  mutex_unlock(&t->inode.lock);
  if (n > 0)
    *pos += (u64)n;
  return n;
}

static i64 tmp_seek(struct file *f, i64 off, int whence) {
  return seek_in_size(f, off, whence, tmp_inode(f->inode)->reg.size);
}

static int tmp_memobj(struct file *f, struct memobj **out) {
  struct tmp_inode *t = tmp_inode(f->inode);
  int e = 0;
  mutex_lock(&t->inode.lock);
  if (!t->reg.obj)
    e = to_object(t, max_u64(t->reg.size, 1));
  if (e == 0) {
    set_charge(t, round_up(t->reg.size, PAGE_SIZE)); /* the mapping may touch every page */
    memobj_get(t->reg.obj);
    *out = t->reg.obj;
  }
  mutex_unlock(&t->inode.lock);
  return e;
}

/* ---- seals ----------------------------------------------------------------------------------- */

static int tmp_may_map(struct file *f, bool write, bool *may_write) {
  struct tmp_inode *t = tmp_inode(f->inode);
  int e = 0;
  mutex_lock(&t->inode.lock);
  if (t->reg.seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE)) {
    e = write ? -EPERM : 0;
    *may_write = false;
  }
  if (e == 0 && *may_write)
    __atomic_add_fetch(&t->reg.maps, 1, __ATOMIC_RELAXED);
  mutex_unlock(&t->inode.lock);
  return e;
}

static void tmp_mapped(struct file *f, int change) {
  __atomic_add_fetch(&tmp_inode(f->inode)->reg.maps, (u32)change, __ATOMIC_RELAXED);
}

static bool is_tmp_file(const struct file *f) { return f->ops == &tmp_file_ops; }

i64 tmp_add_seals(struct file *f, u64 seals) {
  struct tmp_inode *t;
  i64 e = 0;
  if ((f->flags & O_ACCMODE) == O_RDONLY)
    return -EPERM;
  if (!is_tmp_file(f))
    return -EINVAL;
  if (seals & ~(u64)(F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE |
                     F_SEAL_FUTURE_WRITE | F_SEAL_EXEC))
    return -EINVAL;
  t = tmp_inode(f->inode);
  mutex_lock(&t->inode.lock);
  if (t->reg.seals & F_SEAL_SEAL)
    e = -EPERM;
  else if ((seals & F_SEAL_WRITE) && !(t->reg.seals & F_SEAL_WRITE) &&
           __atomic_load_n(&t->reg.maps, __ATOMIC_RELAXED) > 0)
    e = -EBUSY;
  else
    t->reg.seals |= (u32)seals;
  mutex_unlock(&t->inode.lock);
  return e;
}

i64 tmp_get_seals(struct file *f) {
  return is_tmp_file(f) ? (i64)tmp_inode(f->inode)->reg.seals : -EINVAL;
}

static int tmp_sync(struct file *f, bool data_only) {
  (void)f;
  (void)data_only;
  return 0;
}

const struct file_ops tmp_file_ops = {
    .name = "tmpfs",
    .read = tmp_read,
    .write = tmp_write,
    .seek = tmp_seek,
    .memobj = tmp_memobj,
    .may_map = tmp_may_map,
    .mapped = tmp_mapped,
    .sync = tmp_sync,
};
