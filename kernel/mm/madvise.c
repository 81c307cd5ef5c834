/* SPDX-License-Identifier: MIT */
/* madvise. Advice that only concerns speed is accepted and ignored; what changes contents or what a
   child sees is done. */
#include "kernel/errno.h"
#include "kernel/fs/file.h"
#include "kernel/mm/mman.h"
#include "kernel/proc/proc.h"
#include "kernel/syscall/syscall.h"

enum {
  MADV_NORMAL = 0,
  MADV_WILLNEED = 3,
  MADV_DONTNEED = 4,
  MADV_FREE = 8,
  MADV_REMOVE = 9,
  MADV_DONTFORK = 10,
  MADV_DOFORK = 11,
  MADV_MERGEABLE = 12,
  MADV_WIPEONFORK = 18,
  MADV_KEEPONFORK = 19,
  MADV_COLD = 20,
  MADV_POPULATE_WRITE = 23,
};

/* The part of a mapping that the advice is about. */
struct part {
  const struct vma *v;
  u64 off, len;
};

static bool is_private_anonymous(const struct vma *v) { return v->obj == NULL && v->file == NULL; }

static int check_dontneed(const struct vma *v) {
  /* The data of the image would have to come back as it was in the file. */
  return v->kind == VMA_IMAGE && v->obj == NULL ? -EINVAL : 0;
}

/* May the advice be given for this mapping? */
static int check_part(const struct vma *v, int advice) {
  switch (advice) {
  case MADV_DONTNEED:
    return check_dontneed(v);
  case MADV_FREE:
    return is_private_anonymous(v) ? check_dontneed(v) : -EINVAL;
  case MADV_WIPEONFORK:
    return is_private_anonymous(v) ? 0 : -EINVAL;
  case MADV_REMOVE:
    if (v->kind != VMA_SHARED)
      return -EINVAL;
    return v->prot & PROT_WRITE ? 0 : -EACCES;
  default:
    return 0;
  }
}

static int apply_part(struct space *s, const struct part *p, int advice) {
  switch (advice) {
  case MADV_DONTNEED:
  case MADV_FREE:
    return p->v->obj == NULL ? region_discard(s->region, p->off, p->len) : 0;
  case MADV_REMOVE:
    return memobj_punch(p->v->obj, p->v->obj_off + (p->off - p->v->off), p->len);
  default:
    return 0;
  }
}

static void set_fork_flags(struct vma *v, u64 advice) {
  switch (advice) {
  case MADV_DONTFORK:
    v->flags |= VMA_DONTFORK;
    break;
  case MADV_DOFORK:
    v->flags &= ~VMA_DONTFORK;
    break;
  case MADV_WIPEONFORK:
    v->flags |= VMA_WIPEONFORK;
    break;
  case MADV_KEEPONFORK:
    v->flags &= ~VMA_WIPEONFORK;
    break;
  }
}

static bool changes_fork(int advice) {
  return advice == MADV_DONTFORK || advice == MADV_DOFORK || advice == MADV_WIPEONFORK ||
         advice == MADV_KEEPONFORK;
}

/* Applies the advice to what is mapped in the range; -ENOMEM at the end if there were holes. */
static int advise_locked(struct space *s, u64 off, u64 len, int advice) {
  u64 end = off + len;
  bool full = vma_range_full(&s->vmas, off, len);
  for (u32 i = vma_index(&s->vmas, off); i < s->vmas.n && s->vmas.v[i].off < end; i++) {
    const struct vma *v = &s->vmas.v[i];
    struct part p = {.v = v, .off = max_u64(off, v->off)};
    p.len = min_u64(end, vma_end(v)) - p.off;
    int err = check_part(v, advice);
    if (err == 0)
      err = apply_part(s, &p, advice);
    if (err)
      return err;
  }
  if (changes_fork(advice)) {
    int err = vma_reserve(&s->vmas, 2);
    if (err)
      return err;
    vma_change(&s->vmas, off, len, set_fork_flags, (u64)advice);
  }
  return full ? 0 : -ENOMEM;
}

/* ---- private file mappings ----------------------------------------------------------------- */

/* Discarded pages of one mapping, to be read from its file again. */
struct refill {
  u64 off, len, file_off;
  struct file *file; /* reference held */
  bool read_only;    /* made writable for the while */
};

/* The first private file mapping in [off, end). Lock held. */
static bool next_refill(struct space *s, u64 off, u64 end, struct refill *r) {
  u32 i = vma_index(&s->vmas, off);
  while (i < s->vmas.n && s->vmas.v[i].off < end && s->vmas.v[i].kind != VMA_FILE_PRIVATE)
    i++;
  if (i == s->vmas.n || s->vmas.v[i].off >= end)
    return false;
  const struct vma *v = &s->vmas.v[i];
  r->off = max_u64(off, v->off);
  r->len = min_u64(end, vma_end(v)) - r->off;
  r->file_off = v->obj_off + (r->off - v->off);
  r->read_only = !(v->prot & PROT_WRITE);
  r->file = v->file;
  file_get(r->file);
  return !r->read_only ||
         region_protect(s->region, r->off, r->len, REGION_READ | REGION_WRITE) == 0;
}

/* Gives the region back the protection that the list says. */
static void protect_again(struct space *s, const struct refill *r) {
  mutex_lock(&s->lock);
  const struct vma *v = vma_find(&s->vmas, r->off);
  if (v != NULL && vma_end(v) >= r->off + r->len)
    region_protect(s->region, r->off, r->len, space_region_prot(v->prot));
  mutex_unlock(&s->lock);
}

/* One mapping at a time: filling must not hold the lock. */
static void refill(struct space *s, u64 off, u64 end) {
  for (;;) {
    struct refill r = {.file = NULL};
    mutex_lock(&s->lock);
    bool found = next_refill(s, off, end, &r);
    mutex_unlock(&s->lock);
    if (found)
      mman_fill(r.file, r.file_off, r.off, r.len);
    if (found && r.read_only)
      protect_again(s, &r);
    if (r.file != NULL)
      file_put(r.file);
    if (!found)
      return;
    off = r.off + r.len;
  }
}

static bool known(int advice) {
  return (advice >= MADV_NORMAL && advice <= MADV_DONTNEED) ||
         (advice >= MADV_FREE && advice <= MADV_KEEPONFORK) ||
         (advice >= MADV_COLD && advice <= MADV_POPULATE_WRITE);
}

i64 sys_madvise(struct uregs *r) {
  struct space *s = proc_current()->space;
  u64 off = r->rdi, len = mman_pages(r->rsi);
  int advice = (int)r->rdx;
  if (off & (PAGE_SIZE - 1) || !known(advice))
    return -EINVAL;
  if (r->rsi == 0)
    return 0;
  if (len == 0 || off > UF_REGION_SIZE || len > UF_REGION_SIZE - off)
    return -ENOMEM;
  mutex_lock(&s->lock);
  if (advice == MADV_DONTNEED && len >= SPACE_LOOK_FROM)
    space_look(s);
  int err = advise_locked(s, off, len, advice);
  mutex_unlock(&s->lock);
  if (advice == MADV_DONTNEED)
    refill(s, off, off + len);
  return err;
}
