/* SPDX-License-Identifier: MIT */
#include "kernel/mm/space.h"
#include "kernel/errno.h"
#include "kernel/mm/image.h"
#include "kernel/mm/kmalloc.h"
#include "kernel/proc/proc.h"

static struct space_counts counts; /* atomic */

struct space_counts space_counts(void) {
  return (struct space_counts){__atomic_load_n(&counts.live, __ATOMIC_RELAXED),
                               __atomic_load_n(&counts.peak, __ATOMIC_RELAXED)};
}

static void count_new(void) {
  u32 n = __atomic_add_fetch(&counts.live, 1, __ATOMIC_RELAXED);
  if (n > __atomic_load_n(&counts.peak, __ATOMIC_RELAXED))
    __atomic_store_n(&counts.peak, n, __ATOMIC_RELAXED);
}

static struct space *space_alloc(struct image *image) {
  struct space *s = kmalloc_as(KMEM_SPACE, sizeof *s);
  if (s == NULL)
    return NULL;
  s->refs = 1;
  mutex_init(&s->lock);
  s->region = NULL;
  s->image = image;
  vma_list_init(&s->vmas);
  s->brk_lo = s->brk = s->stack_hint = 0;
  s->mmap_hint = SPACE_MMAP_LO;
  s->retry_off = s->retry_count = s->changes = s->retry_changes = 0;
  s->resident = s->peak = 0;
  s->look_at = 0;
  return s;
}

int space_create(struct image *image, struct space **out) {
  struct space *s = space_alloc(image);
  if (s == NULL)
    return -ENOMEM;
  int err = region_create(image_id(image), &s->region);
  if (err) {
    kfree_as(KMEM_SPACE, s);
    return err;
  }
  image_get(image);
  count_new();
  *out = s;
  return 0;
}

void space_get(struct space *s) { __atomic_add_fetch(&s->refs, 1, __ATOMIC_RELAXED); }

void space_put(struct space *s) {
  if (__atomic_sub_fetch(&s->refs, 1, __ATOMIC_ACQ_REL) != 0)
    return;
  region_destroy(s->region);
  __atomic_sub_fetch(&counts.live, 1, __ATOMIC_RELAXED);
  vma_list_destroy(&s->vmas);
  image_put(s->image);
  kfree_as(KMEM_SPACE, s);
}

/* ---- fork ------------------------------------------------------------------------------ */

/* MADV_DONTFORK and MADV_WIPEONFORK: what the region's copy must not show. */
static int hide_from_child(const struct space *parent, struct region *child) {
  if (likely(!parent->vmas.special))
    return 0;
  for (u32 i = 0; i < parent->vmas.n; i++) {
    const struct vma *v = &parent->vmas.v[i];
    int err = 0;
    if (v->flags & VMA_DONTFORK)
      err = region_unmap(child, v->off, v->len, false);
    else if (v->flags & VMA_WIPEONFORK)
      err = region_discard(child, v->off, v->len);
    if (err)
      return err;
  }
  return 0;
}

static const struct vma *find_stack(struct space *s, u64 off) {
  const struct vma *v = &s->vmas.v[s->stack_hint];
  if (likely(s->stack_hint < s->vmas.n && v->off <= off && off < vma_end(v)))
    return v;
  v = off < UF_REGION_SIZE ? vma_find(&s->vmas, off) : NULL;
  if (v != NULL)
    s->stack_hint = (u32)(v - s->vmas.v);
  return v;
}

static void fork_args(struct space *s, u64 sp, bool below_sp, struct region_fork_args *a) {
  u64 off = sp - region_base(s->region);
  const struct vma *v = find_stack(s, off);
  a->sp = (u32)off;
  a->stack_lo = a->stack_hi = 0;
  if (v != NULL && v->kind == VMA_STACK && likely(!below_sp)) {
    a->stack_lo = v->off;
    a->stack_hi = v->off + v->len;
  }
}

#define LOOK_REST 20

void space_usage(struct space *s, struct region_usage *u) {
  region_usage(s->region, u);
  s->resident = (u32)((u->private_bytes + u->shared_bytes) / PAGE_SIZE);
  if (s->resident > s->peak)
    s->peak = s->resident;
}

void space_look(struct space *s) {
  struct region_usage u;
  u64 start = plat_now();
  if (start < s->look_at)
    return;
  space_usage(s, &u);
  u64 end = plat_now();
  s->look_at = end + (end - start) * LOOK_REST;
}

void space_note_peak(struct space *s, bool anew) {
  mutex_lock(&s->lock);
  if (anew)
    s->look_at = 0;
  space_look(s);
  mutex_unlock(&s->lock);
}

static int fork_locked(struct space *s, u64 sp, bool below_sp, bool may_move, struct space *c) {
  struct region_fork_args a = {.may_move = may_move};
  if (unlikely(s->resident == 0))
    space_look(s);
  c->resident = c->peak = s->resident;
  int err = vma_list_copy(&c->vmas, &s->vmas);
  if (err)
    return err;
  c->brk_lo = s->brk_lo;
  c->brk = s->brk;
  c->mmap_hint = s->mmap_hint;
  fork_args(s, sp, below_sp, &a);
  c->stack_hint = s->stack_hint;
  err = region_fork(s->region, &a, &c->region);
  if (err)
    return err;
  err = hide_from_child(s, c->region);
  if (err)
    region_destroy(c->region);
  return err;
}

int space_fork(struct space *s, u64 sp, bool below_sp, bool may_move, struct space **out) {
  struct space *c = space_alloc(s->image);
  if (c == NULL)
    return -ENOMEM;
  mutex_lock(&s->lock);
  int err = fork_locked(s, sp, below_sp, may_move, c);
  mutex_unlock(&s->lock);
  if (err) {
    vma_list_destroy(&c->vmas);
    kfree_as(KMEM_SPACE, c);
    return err;
  }
  image_get(c->image);
  count_new();
  *out = c;
  return 0;
}

/* ---- limits ---------------------------------------------------------------------------- */

void space_trim(void) {
  region_trim();
  thread_trim();
  proc_trim();
  kmalloc_trim(); /* last: it frees what those have left */
}

/* What is kept for later is in use, too. */
bool space_memory_fits(u64 bytes) {
  if (likely(plat_mem_fits(bytes)))
    return true;
  if (bytes > plat_mem_limit())
    return false;
  space_trim();
  return plat_mem_fits(bytes);
}

int space_check_limits(const struct space *s, u64 bytes, bool data) {
  const struct rlimit *lim = proc_current()->limits;
  if (s->vmas.bytes + bytes > lim[RLIMIT_AS].cur)
    return -ENOMEM;
  if (data && s->vmas.data_bytes + bytes > lim[RLIMIT_DATA].cur)
    return -ENOMEM;
  return 0;
}

/* ---- region and list in step ------------------------------------------------------------- */

int space_map(struct space *s, const struct vma *v) {
  s->changes++;
  int prot = space_region_prot(v->prot);
  int err = vma_reserve(&s->vmas, 1);
  if (err)
    return err;
  if (v->obj != NULL)
    err = region_map_object(s->region, v->off, v->len, prot, v->obj, v->obj_off);
  else
    err =
        region_map(s->region, v->off, v->len, prot, v->flags & VMA_COLD ? REGION_COLD : REGION_HOT);
  if (err)
    return err;
  vma_insert(&s->vmas, v);
  if (v->off == s->mmap_hint)
    s->mmap_hint = v->off + v->len;
  return 0;
}

static int unmap(struct space *s, u64 off, u64 len, bool lazily) {
  s->changes++;
  u64 end = off + len;
  int err = vma_reserve(&s->vmas, 1);
  if (err)
    return err;
  for (u32 i = vma_index(&s->vmas, off); i < s->vmas.n && s->vmas.v[i].off < end; i++) {
    const struct vma *v = &s->vmas.v[i];
    u64 lo = max_u64(off, v->off), hi = min_u64(end, vma_end(v));
    err = region_unmap(s->region, lo, hi - lo, lazily);
    if (err) { /* the list follows what has been done */
      vma_remove(&s->vmas, off, lo - off);
      return err;
    }
  }
  vma_remove(&s->vmas, off, len);
  if (off < s->mmap_hint)
    s->mmap_hint = max_u64(off, SPACE_MMAP_LO);
  return 0;
}

int space_unmap(struct space *s, u64 off, u64 len) { return unmap(s, off, len, false); }

int space_unmap_lazily(struct space *s, u64 off, u64 len) { return unmap(s, off, len, true); }

static void set_prot(struct vma *v, u64 prot) { v->prot = prot; }

/* -EACCES if a mapping in the range may not become writable; bytes that would newly be data. */
static i64 newly_writable(const struct space *s, u64 off, u64 end) {
  u64 bytes = 0;
  for (u32 i = vma_index(&s->vmas, off); i < s->vmas.n && s->vmas.v[i].off < end; i++) {
    const struct vma *v = &s->vmas.v[i];
    if (!(v->flags & VMA_MAY_WRITE))
      return -EACCES;
    if (v->obj == NULL && !(v->prot & PROT_WRITE))
      bytes += min_u64(end, vma_end(v)) - max_u64(off, v->off);
  }
  return (i64)bytes;
}

int space_protect(struct space *s, u64 off, u64 len, int prot) {
  s->changes++;
  if (!vma_range_full(&s->vmas, off, len))
    return -ENOMEM;
  if (prot & PROT_WRITE) {
    i64 bytes = newly_writable(s, off, off + len);
    if (bytes < 0)
      return (int)bytes;
    if (bytes > 0 && (!space_memory_fits((u64)bytes) ||
                      s->vmas.data_bytes + (u64)bytes > proc_current()->limits[RLIMIT_DATA].cur))
      return -ENOMEM;
  }
  int err = vma_reserve(&s->vmas, 2);
  if (err == 0)
    err = region_protect(s->region, off, len, space_region_prot(prot));
  if (err == 0)
    vma_change(&s->vmas, off, len, set_prot, (u64)prot);
  return err;
}

/* ---- reports --------------------------------------------------------------------------- */

void space_each_vma(struct space *s, void (*emit)(void *arg, const struct vma *v), void *arg) {
  mutex_lock(&s->lock);
  for (u32 i = 0; i < s->vmas.n; i++)
    emit(arg, &s->vmas.v[i]);
  mutex_unlock(&s->lock);
}

u64 space_mapped_bytes(struct space *s) {
  mutex_lock(&s->lock);
  u64 bytes = s->vmas.bytes;
  mutex_unlock(&s->lock);
  return bytes;
}
