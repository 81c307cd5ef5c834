/* SPDX-License-Identifier: MIT */
/*
 * mremap. Shared mappings move by mapping the object elsewhere. Private memory moves by copying it,
 * which is done without the lock (a user copy may fault): first the new range is mapped, then
 * copied to, then the old one goes. A program that changes the old range meanwhile races with
 * itself only.
 */
#include "kernel/errno.h"
#include "kernel/fs/file.h"
#include "kernel/mm/mman.h"
#include "kernel/mm/usercopy.h"
#include "kernel/proc/proc.h"
#include "kernel/syscall/syscall.h"

struct remap {
  u64 off, old_len, new_len;
  u32 flags;
  u64 new_addr; /* MREMAP_FIXED */
};

static int check(const struct remap *m) {
  if (m->flags & ~(MREMAP_MAYMOVE | MREMAP_FIXED) || m->off & (PAGE_SIZE - 1))
    return -EINVAL;
  if (m->old_len == 0 || m->new_len == 0 || m->off > UF_REGION_SIZE)
    return -EINVAL;
  if (!(m->flags & MREMAP_FIXED))
    return 0;
  u64 a = m->new_addr;
  if (!(m->flags & MREMAP_MAYMOVE) || a & (PAGE_SIZE - 1) || a < UF_DATA_LO || a > SPACE_MMAP_HI ||
      m->new_len > SPACE_MMAP_HI - a)
    return -EINVAL;
  return a < m->off + m->old_len && m->off < a + m->new_len ? -EINVAL : 0;
}

/* The one mapping that holds the old range. */
static struct vma *source(const struct space *s, const struct remap *m) {
  struct vma *v = vma_find(&s->vmas, m->off);
  return v != NULL && m->off + m->old_len <= vma_end(v) ? v : NULL;
}

/* The part of `from` that begins at off, placed at `at`; holds references. */
static struct vma piece(const struct vma *from, u64 off, u64 at, u64 len) {
  struct vma v = *from;
  v.obj_off += off - from->off;
  v.off = (u32)at;
  v.len = (u32)len;
  vma_get(&v);
  return v;
}

static int check_growth(const struct space *s, const struct vma *v, u64 bytes) {
  bool data = v->obj == NULL && v->prot & PROT_WRITE;
  int err = space_check_limits(s, bytes, data);
  return err == 0 && data && !space_memory_fits(bytes) ? -ENOMEM : err;
}

static int map_piece(struct space *s, const struct vma *v) {
  int err = space_map(s, v);
  if (err)
    vma_put(v);
  return err;
}

/* Grows where it is, if the mapping ends with the old range and there is room behind it. Added
   pages of a private file mapping are not read from the file: such a mapping moves instead. */
static bool grow_in_place(struct space *s, const struct remap *m, const struct vma *v) {
  u64 end = m->off + m->old_len, more = m->new_len - m->old_len;
  if (vma_end(v) != end || v->kind == VMA_FILE_PRIVATE || end + more > SPACE_MMAP_HI ||
      !vma_range_free(&s->vmas, end, more))
    return false;
  struct vma tail = piece(v, end, end, more);
  return map_piece(s, &tail) == 0;
}

/* What moving private memory needs once the lock is dropped. */
struct copy {
  u64 from, to, n;
  int prot;          /* what the new range gets in the end */
  struct file *file; /* what lies behind n comes from here; reference held */
  u64 file_off;
};

/* Maps the new range, with the lock held. c->n != 0: the caller copies, then calls finish_copy. */
static i64 map_new(struct space *s, const struct remap *m, const struct vma *v, struct copy *c) {
  bool fixed = m->flags & MREMAP_FIXED;
  i64 to = mman_place(s, fixed ? m->new_addr : 0, m->new_len, fixed);
  if (to < 0)
    return to;
  struct vma new = piece(v, m->off, (u64)to, m->new_len);
  int err = fixed ? space_unmap(s, (u64)to, m->new_len) : 0;
  if (err) {
    vma_put(&new);
    return err;
  }
  if (new.obj == NULL) {
    *c = (struct copy){.from = m->off,
                       .to = (u64)to,
                       .n = min_u64(m->old_len, m->new_len),
                       .prot = new.prot,
                       .file = new.file,
                       .file_off = new.obj_off};
    if (new.kind == VMA_STACK || new.kind == VMA_BRK || new.kind == VMA_IMAGE)
      new.kind = VMA_ANON;
    new.flags |= VMA_COLD;
    new.prot = PROT_READ | PROT_WRITE;
    if (c->file != NULL)
      file_get(c->file);
    if (v->prot == 0) /* readable for the copy; the old range goes away */
      region_protect(s->region, m->off, m->old_len, REGION_READ);
  }
  err = map_piece(s, &new);
  if (err && c->file != NULL) {
    file_put(c->file);
    c->file = NULL;
  }
  return err ? err : to;
}

/* User to user, through the platform's copy, which resolves faults on either side. */
static int copy_pages(const struct copy *c) {
  void *from = user_range(c->from, c->n), *to = user_range(c->to, c->n);
  return from && to ? plat_copy_out(to, from, c->n) : -EFAULT;
}

static int finish_copy(struct space *s, const struct remap *m, const struct copy *c) {
  int err = copy_pages(c);
  if (err == 0 && c->file != NULL && m->new_len > c->n)
    err = mman_fill(c->file, c->file_off + c->n, c->to + c->n, m->new_len - c->n);
  if (c->file != NULL)
    file_put(c->file);
  mutex_lock(&s->lock);
  if (err)
    space_unmap(s, c->to, m->new_len);
  else
    space_protect(s, c->to, m->new_len, c->prot);
  if (err == 0)
    err = space_unmap(s, c->from, m->old_len);
  mutex_unlock(&s->lock);
  return err;
}

/* Shrinking and growing in place, or *moves: the caller has to finish c. Lock held. */
static i64 remap_locked(struct space *s, struct remap *m, struct copy *c) {
  struct vma *v = source(s, m);
  if (v == NULL)
    return -EFAULT;
  bool fixed = m->flags & MREMAP_FIXED;
  if (m->new_len < m->old_len) {
    int err = space_unmap(s, m->off + m->new_len, m->old_len - m->new_len);
    if (err)
      return err;
    m->old_len = m->new_len;
    v = source(s, m);
  }
  if (m->new_len == m->old_len && !fixed)
    return (i64)m->off;
  int err = check_growth(s, v, m->new_len - m->old_len);
  if (err)
    return err;
  if (!fixed && grow_in_place(s, m, v))
    return (i64)m->off;
  if (!(m->flags & MREMAP_MAYMOVE))
    return -ENOMEM;
  err = vma_reserve(&s->vmas, 4); /* v stays where it is until it has been used */
  if (err)
    return err;
  struct vma from = *source(s, m);
  vma_get(&from);
  i64 to = map_new(s, m, &from, c);
  if (to >= 0 && from.obj != NULL)
    space_unmap(s, m->off, m->old_len);
  vma_put(&from);
  return to;
}

i64 sys_mremap(struct uregs *r) {
  struct space *s = proc_current()->space;
  struct remap m = {.off = r->rdi,
                    .old_len = mman_pages(r->rsi),
                    .new_len = mman_pages(r->rdx),
                    .flags = (u32)r->r10,
                    .new_addr = r->r8};
  struct copy c = {.n = 0};
  if (r->rdx > UF_REGION_SIZE)
    return -ENOMEM;
  int err = check(&m);
  if (err)
    return err;
  mutex_lock(&s->lock);
  i64 ret = remap_locked(s, &m, &c);
  mutex_unlock(&s->lock);
  if (ret >= 0 && c.n != 0) {
    err = finish_copy(s, &m, &c);
    if (err)
      return err;
  }
  return ret;
}
