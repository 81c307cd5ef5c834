/* SPDX-License-Identifier: MIT */
#include "plat/hosted/memobj.h"
#include "kernel/errno.h"
#include "kernel/mm/kmalloc.h"
#include "lib/spin.h"
#include "plat/hosted/linux.h"

static struct spin list_lock;
static struct list all = LIST_INIT(all);

int memobj_create(u64 size, struct memobj **out) {
  struct memobj *o = kmalloc(sizeof(*o));
  if (!o)
    return -ENOMEM;
  i64 fd = lx2(memfd_create, "ufork-mem", LX_MFD_CLOEXEC);
  if (fd < 0) {
    kfree(o);
    return -ENOMEM;
  }
  *o = (struct memobj){.refs = 1, .fd = (int)fd};
  list_init(&o->node);
  spin_lock(&list_lock);
  list_push_back(&all, &o->node);
  spin_unlock(&list_lock);
  int err = size ? memobj_resize(o, size) : 0;
  if (err) {
    memobj_put(o);
    return err;
  }
  *out = o;
  return 0;
}

int memobj_from_host(int fd, struct memobj **out) {
  struct memobj *o = kmalloc(sizeof(*o));
  if (!o)
    return -ENOMEM;
  i64 dup = lx_call6(72 /* fcntl */, (u64)fd, 1030 /* F_DUPFD_CLOEXEC */, 3, 0, 0, 0);
  if (dup < 0) {
    kfree(o);
    return (int)dup;
  }
  *o = (struct memobj){.refs = 1, .fd = (int)dup, .size = UINT64_MAX, .host_file = true};
  list_init(&o->node);
  *out = o;
  return 0;
}

void memobj_get(struct memobj *o) { __atomic_add_fetch(&o->refs, 1, __ATOMIC_RELAXED); }

void memobj_put(struct memobj *o) {
  if (__atomic_sub_fetch(&o->refs, 1, __ATOMIC_ACQ_REL) != 0)
    return;
  spin_lock(&list_lock);
  list_remove(&o->node);
  spin_unlock(&list_lock);
  lx1(close, o->fd);
  kfree(o);
}

int memobj_resize(struct memobj *o, u64 size) {
  i64 err = LX_RETRY(lx2(ftruncate, o->fd, size));
  if (err < 0)
    return (int)err;
  o->size = size;
  return 0;
}

i64 memobj_read(struct memobj *o, u64 at, void *buf, size_t n) {
  return LX_RETRY(lx4(pread64, o->fd, buf, n, at));
}

i64 memobj_write(struct memobj *o, u64 at, const void *buf, size_t n) {
  if (at >= o->size)
    return 0;
  return LX_RETRY(lx4(pwrite64, o->fd, buf, min_u64(n, o->size - at), at));
}

int memobj_punch(struct memobj *o, u64 at, u64 n) {
  if (n == 0)
    return 0;
  return (int)LX_RETRY(
      lx4(fallocate, o->fd, LX_FALLOC_FL_PUNCH_HOLE | LX_FALLOC_FL_KEEP_SIZE, at, n));
}

#define SEEK_DATA 3
#define SEEK_HOLE 4

int memobj_each_data(const struct memobj *o, u64 from, u64 to, int (*f)(void *arg, u64 at, u64 end),
                     void *arg) {
  int err = 0;
  for (i64 at = (i64)from; !err && (u64)at < to;) {
    at = lx3(lseek, o->fd, at, SEEK_DATA);
    if (at < 0 || (u64)at >= to)
      break;
    i64 hole = lx3(lseek, o->fd, at, SEEK_HOLE);
    u64 end = hole < 0 || (u64)hole > to ? to : (u64)hole;
    err = f(arg, (u64)at, end);
    at = (i64)end;
  }
  return err;
}

u64 memobj_bytes_used(void) {
  u64 sum = 0;
  spin_lock(&list_lock);
  struct memobj *o;
  list_for_each(o, &all, node) {
    struct lx_stat st;
    if (lx2(fstat, o->fd, &st) == 0)
      sum += (u64)st.blocks * 512;
  }
  spin_unlock(&list_lock);
  return sum;
}
