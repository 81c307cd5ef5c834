/* SPDX-License-Identifier: MIT */
/* mmap, munmap, mprotect. */
#include "kernel/errno.h"
#include "kernel/fs/vfs.h"
#include "kernel/mm/mman.h"
#include "kernel/proc/proc.h"
#include "kernel/syscall/syscall.h"

#define DEV_ZERO MAKEDEV(1, 5)

/* A checked request; references are the request's until space_map takes them over. */
struct map_request {
  u64 addr, len;
  u32 flags;
  struct vma v;
};

/* ---- placement --------------------------------------------------------------------------- */

static i64 place_fixed(u64 addr, u64 len) {
  if (addr > SPACE_MMAP_HI || len > SPACE_MMAP_HI - addr)
    return -ENOMEM;
  return addr < UF_DATA_LO ? -EPERM : (i64)addr;
}

i64 mman_place(const struct space *s, u64 addr, u64 len, bool fixed) {
  if (fixed)
    return place_fixed(addr, len);
  addr = round_down(addr, PAGE_SIZE);
  if (addr != 0 && place_fixed(addr, len) >= 0 && vma_range_free(&s->vmas, addr, len))
    return (i64)addr;
  u32 off = vma_find_hole(&s->vmas, len, s->mmap_hint, SPACE_MMAP_HI);
  return off ? (i64)off : -ENOMEM;
}

static i64 place(struct space *s, const struct map_request *q) {
  bool fixed = q->flags & (MAP_FIXED | MAP_FIXED_NOREPLACE);
  i64 off = mman_place(s, q->addr, q->len, fixed);
  if (off < 0 || !fixed || vma_range_free(&s->vmas, (u64)off, q->len))
    return off;
  if (q->flags & MAP_FIXED_NOREPLACE)
    return -EEXIST;
  int err = space_unmap(s, (u64)off, q->len);
  return err ? err : off;
}

static bool is_data(const struct vma *v) { return v->obj == NULL && (v->prot & PROT_WRITE); }

static i64 map_locked(struct space *s, struct map_request *q) {
  bool promised = q->v.prot & PROT_WRITE && !(q->flags & MAP_NORESERVE) && q->v.file == NULL;
  int err = space_check_limits(s, q->len, is_data(&q->v));
  if (err == 0 && promised && !space_memory_fits(q->len))
    err = -ENOMEM;
  if (err)
    return err;
  i64 off = place(s, q);
  if (off < 0)
    return off;
  q->v.off = (u32)off;
  q->v.len = (u32)q->len;
  err = space_map(s, &q->v);
  return err ? err : off;
}

/* ---- files ------------------------------------------------------------------------------- */

static int readable_file(const struct file *f) {
  if ((f->flags & O_ACCMODE) == O_WRONLY)
    return -EACCES;
  if (f->inode == NULL || f->ops->read == NULL)
    return -ENODEV;
  return S_ISREG(f->inode->mode) ? 0 : -ENODEV;
}

static bool is_dev_zero(const struct file *f) {
  return f->inode != NULL && S_ISCHR(f->inode->mode) && f->inode->rdev == DEV_ZERO;
}

static int shared_file(struct map_request *q, struct file *f) {
  bool may_write = (f->flags & O_ACCMODE) == O_RDWR;
  if (q->v.prot & PROT_WRITE && !may_write)
    return -EACCES;
  if (f->ops->memobj == NULL)
    return -ENODEV;
  if (f->ops->may_map != NULL) {
    int err = f->ops->may_map(f, q->v.prot & PROT_WRITE, &may_write);
    if (err)
      return err;
  }
  q->v.kind = VMA_SHARED;
  q->v.flags = may_write ? VMA_MAY_WRITE : 0;
  int err = f->ops->memobj(f, &q->v.obj);
  if (f->ops->may_map != NULL && may_write && err)
    f->ops->mapped(f, -1);
  else if (f->ops->may_map != NULL && may_write)
    q->v.flags |= VMA_COUNTED;
  return err;
}

/* Fills in q->v for descriptor fd; on success q->v.file holds a reference (not for /dev/zero). */
static int want_file(struct map_request *q, int fd, u64 file_off) {
  struct file *f = fd_get(fd);
  if (f == NULL)
    return -EBADF;
  if (is_dev_zero(f)) {
    q->flags |= MAP_ANONYMOUS;
    file_put(f);
    return 0;
  }
  int err = readable_file(f);
  if (err == 0 && file_off + q->len < file_off)
    err = -EOVERFLOW;
  if (err == 0 && (q->flags & MAP_TYPE) != MAP_PRIVATE)
    err = shared_file(q, f);
  if (err) {
    file_put(f);
    return err;
  }
  q->v.obj_off = file_off;
  q->v.file = f;
  if (q->v.obj == NULL)
    q->v.kind = VMA_FILE_PRIVATE;
  return 0;
}

static int want_anonymous(struct map_request *q) {
  q->v.kind = VMA_ANON;
  if ((q->flags & MAP_TYPE) == MAP_PRIVATE)
    return 0;
  q->v.kind = VMA_SHARED;
  if (!(q->flags & MAP_NORESERVE) && !space_memory_fits(q->len))
    return -ENOMEM;
  return memobj_create(q->len, &q->v.obj);
}

/* Contents of a private file mapping come from one read loop straight into user memory. */
int mman_fill(struct file *f, u64 file_off, u64 off, u64 len) {
  struct uio u;
  int err = uio_init_user(&u, off, len);
  while (err == 0 && u.left > 0) {
    i64 n = f->ops->read(f, &u, &file_off);
    if (n <= 0)
      err = n == -EFAULT ? 0 : (int)n; /* unmapped meanwhile by another thread: its problem */
    if (n <= 0)
      break;
  }
  uio_destroy(&u);
  return err;
}

/* ---- mmap -------------------------------------------------------------------------------- */

static int check_flags(u64 prot, u32 flags) {
  u32 type = flags & MAP_TYPE;
  if (type != MAP_SHARED && type != MAP_PRIVATE && type != MAP_SHARED_VALIDATE)
    return -EINVAL;
  if (type == MAP_SHARED_VALIDATE && (flags & MAP_SYNC))
    return -EOPNOTSUPP;
  if (flags & MAP_GROWSDOWN)
    return -EINVAL;
  if (flags & MAP_HUGETLB)
    return -ENOMEM; /* there is no pool of huge pages */
  return prot & PROT_EXEC ? -EPERM : 0;
}

static int prepare(struct map_request *q, const struct uregs *r) {
  *q = (struct map_request){.addr = r->rdi, .len = mman_pages(r->rsi), .flags = (u32)r->r10};
  q->v.prot = r->rdx & (PROT_READ | PROT_WRITE);
  q->v.flags = VMA_MAY_WRITE | VMA_COLD;
  int err = check_flags(r->rdx, q->flags);
  if (err)
    return err;
  if (r->rsi == 0 || r->r9 & (PAGE_SIZE - 1))
    return -EINVAL;
  if (q->flags & (MAP_FIXED | MAP_FIXED_NOREPLACE) && q->addr & (PAGE_SIZE - 1))
    return -EINVAL;
  if (q->len == 0)
    return -ENOMEM;
  if (!(q->flags & MAP_ANONYMOUS))
    err = want_file(q, (int)r->r8, r->r9);
  if (err == 0 && q->flags & MAP_ANONYMOUS)
    err = want_anonymous(q);
  return err;
}

static void drop(struct map_request *q) { vma_put(&q->v); }

/* Maps a copy of the file's contents: writable while it is filled, then as asked. */
static i64 map_copy(struct space *s, struct map_request *q) {
  struct file *f = q->v.file;
  int prot = q->v.prot;
  q->v.prot |= PROT_WRITE;
  file_get(f); /* space_map gives the mapping's own reference away */
  mutex_lock(&s->lock);
  i64 off = map_locked(s, q);
  mutex_unlock(&s->lock);
  if (off < 0)
    drop(q);
  int err = off < 0 ? (int)off : mman_fill(f, q->v.obj_off, (u64)off, q->len);
  if (off >= 0 && (err || !(prot & PROT_WRITE))) {
    mutex_lock(&s->lock);
    if (err)
      space_unmap(s, (u64)off, q->len);
    else
      space_protect(s, (u64)off, q->len, prot);
    mutex_unlock(&s->lock);
  }
  file_put(f);
  return err ? err : off;
}

i64 sys_mmap(struct uregs *r) {
  struct space *s = proc_current()->space;
  struct map_request q;
  int err = prepare(&q, r);
  if (err)
    return err;
  if (q.v.kind == VMA_FILE_PRIVATE)
    return map_copy(s, &q);
  mutex_lock(&s->lock);
  i64 off = map_locked(s, &q);
  mutex_unlock(&s->lock);
  if (off < 0)
    drop(&q);
  return off;
}

/* ---- munmap, mprotect ---------------------------------------------------------------------- */

i64 sys_munmap(struct uregs *r) {
  struct proc *p = proc_current();
  struct space *s = p->space;
  u64 off = r->rdi, len = mman_pages(r->rsi);
  if (off & (PAGE_SIZE - 1) || len == 0 || off > UF_REGION_SIZE || len > UF_REGION_SIZE - off)
    return -EINVAL;
  mutex_lock(&s->lock);
  if (len >= SPACE_LOOK_FROM)
    space_look(s);
  /* Who can show the difference: another thread that uses what this one has given up. */
  bool alone = p->nthreads == 1 && s->refs == 1;
  int err = alone ? space_unmap_lazily(s, off, len) : space_unmap(s, off, len);
  mutex_unlock(&s->lock);
  return err;
}

i64 sys_mprotect(struct uregs *r) {
  struct space *s = proc_current()->space;
  u64 off = r->rdi, len = mman_pages(r->rsi);
  if (off & (PAGE_SIZE - 1) || r->rdx & ~(u64)(PROT_READ | PROT_WRITE | PROT_EXEC))
    return -EINVAL;
  if (r->rsi == 0)
    return 0;
  if (len == 0 || off > UF_REGION_SIZE || len > UF_REGION_SIZE - off)
    return -ENOMEM;
  if (r->rdx & PROT_EXEC)
    return -EACCES;
  mutex_lock(&s->lock);
  int err = space_protect(s, off, len, (int)r->rdx);
  mutex_unlock(&s->lock);
  return err;
}
