/* SPDX-License-Identifier: MIT */
#include "kernel/mm/vma.h"
#include "kernel/errno.h"
#include "kernel/fs/file.h"
#include "kernel/kassert.h"
#include "kernel/mm/kmalloc.h"
#include "lib/string.h"

#define FIRST_CAP 8u
#define PROT_WRITE 2

void vma_get(const struct vma *v) {
  if (v->obj != NULL)
    memobj_get(v->obj);
  if (v->file == NULL)
    return;
  file_get(v->file);
  if (v->flags & VMA_COUNTED)
    v->file->ops->mapped(v->file, 1);
}

void vma_put(const struct vma *v) {
  if (v->obj != NULL)
    memobj_put(v->obj);
  if (v->file == NULL)
    return;
  if (v->flags & VMA_COUNTED)
    v->file->ops->mapped(v->file, -1);
  file_put(v->file);
}

/* Most mappings have neither an object nor a file. */
static inline bool is_plain(const struct vma *v) { return v->obj == NULL && v->file == NULL; }

/* ---- accounting ------------------------------------------------------------------------ */

static bool is_data(const struct vma *v) { return v->obj == NULL && (v->prot & PROT_WRITE); }

static void account(struct vma_list *l, const struct vma *v, u64 len) {
  l->special |= (v->flags & VMA_SPECIAL) != 0;
  l->bytes += len;
  if (is_data(v))
    l->data_bytes += len;
}

static void unaccount(struct vma_list *l, const struct vma *v, u64 len) {
  l->bytes -= len;
  if (is_data(v))
    l->data_bytes -= len;
}

/* ---- the array ------------------------------------------------------------------------- */

/*
 * What l->v points into. With more than one reference (each of a list) nothing of it changes. They
 * grow through a list alone whose space is locked: a list that finds itself the only holder stays
 * it while its space is locked.
 */
struct block {
  u64 refs; /* atomic */
  struct vma v[];
};

static struct block *block_of(const struct vma_list *l) {
  return l->v ? container_of(l->v, struct block, v) : NULL;
}

static bool is_shared(const struct vma_list *l) {
  return l->v && __atomic_load_n(&block_of(l)->refs, __ATOMIC_ACQUIRE) != 1;
}

static size_t block_size(u32 cap) { return sizeof(struct block) + cap * sizeof(struct vma); }

static void use_block(struct vma_list *l, struct block *b, u32 cap) {
  b->refs = 1;
  l->v = b->v;
  l->cap = cap;
}

void vma_list_init(struct vma_list *l) {
  l->v = NULL;
  l->n = l->cap = 0;
  l->special = false;
  l->bytes = l->data_bytes = 0;
}

static __attribute__((noinline)) void block_free(struct block *b, u32 n) {
  for (u32 i = 0; i < n; i++)
    if (!is_plain(&b->v[i]))
      vma_put(&b->v[i]);
  kfree_as(KMEM_SPACE, b);
}

static inline void block_put(struct block *b, u32 n) {
  if (b != NULL && __atomic_sub_fetch(&b->refs, 1, __ATOMIC_ACQ_REL) == 0)
    block_free(b, n);
}

void vma_list_destroy(struct vma_list *l) {
  block_put(block_of(l), l->n);
  vma_list_init(l);
}

u64 vma_list_bytes(const struct vma_list *l) {
  struct block *b = block_of(l);
  return b ? kmalloc_size(b) / __atomic_load_n(&b->refs, __ATOMIC_RELAXED) : 0;
}

static int make_own(struct vma_list *l, u32 extra) {
  struct block *old = block_of(l);
  u32 cap = l->n + extra + FIRST_CAP / 2;
  struct block *b = kmalloc_as(KMEM_SPACE, block_size(cap));
  if (b == NULL)
    return -ENOMEM;
  memcpy(b->v, l->v, l->n * sizeof *l->v);
  for (u32 i = 0; i < l->n; i++)
    if (!is_plain(&b->v[i]))
      vma_get(&b->v[i]);
  use_block(l, b, cap);
  block_put(old, l->n);
  return 0;
}

int vma_reserve(struct vma_list *l, u32 extra) {
  bool shared = is_shared(l);
  if (likely(!shared && l->n + extra <= l->cap))
    return 0;
  if (l->n + extra > VMA_COUNT_MAX)
    return -ENOMEM;
  if (shared)
    return make_own(l, extra);
  u32 cap = l->cap ? l->cap * 2 : FIRST_CAP;
  struct block *b = krealloc_as(KMEM_SPACE, block_of(l), block_size(cap));
  if (b == NULL)
    return -ENOMEM;
  use_block(l, b, cap);
  return 0;
}

static __attribute__((noinline)) int copy_entries(struct vma_list *dst,
                                                  const struct vma_list *src) {
  u32 cap = src->n + FIRST_CAP / 2;
  struct block *b = kmalloc_as(KMEM_SPACE, block_size(cap));
  if (b == NULL)
    return -ENOMEM;
  use_block(dst, b, cap);
  for (u32 i = 0; i < src->n; i++) {
    if (src->v[i].flags & VMA_DONTFORK)
      continue;
    if (!is_plain(&src->v[i]))
      vma_get(&src->v[i]);
    account(dst, &src->v[i], src->v[i].len);
    dst->v[dst->n++] = src->v[i];
  }
  return 0;
}

int vma_list_copy(struct vma_list *dst, const struct vma_list *src) {
  if (unlikely(src->special))
    return copy_entries(dst, src);
  *dst = *src;
  if (likely(src->v != NULL))
    __atomic_add_fetch(&block_of(src)->refs, 1, __ATOMIC_RELAXED);
  return 0;
}

static void open_slot(struct vma_list *l, u32 i) {
  kassert(l->n < l->cap && !is_shared(l));
  memmove(&l->v[i + 1], &l->v[i], (l->n - i) * sizeof *l->v);
  l->n++;
}

static void close_slots(struct vma_list *l, u32 from, u32 to) {
  kassert(!is_shared(l));
  memmove(&l->v[from], &l->v[to], (l->n - to) * sizeof *l->v);
  l->n -= to - from;
}

/* ---- look-ups -------------------------------------------------------------------------- */

u32 vma_index(const struct vma_list *l, u64 off) {
  u32 lo = 0, hi = l->n;
  while (lo < hi) {
    u32 mid = (lo + hi) / 2;
    if (vma_end(&l->v[mid]) <= off)
      lo = mid + 1;
    else
      hi = mid;
  }
  return lo;
}

struct vma *vma_find(const struct vma_list *l, u64 off) {
  u32 i = vma_index(l, off);
  return i < l->n && l->v[i].off <= off ? &l->v[i] : NULL;
}

bool vma_range_free(const struct vma_list *l, u64 off, u64 len) {
  u32 i = vma_index(l, off);
  return i == l->n || l->v[i].off >= off + len;
}

bool vma_range_full(const struct vma_list *l, u64 off, u64 len) {
  u64 end = off + len;
  for (u32 i = vma_index(l, off); off < end; i++) {
    if (i == l->n || l->v[i].off > off)
      return false;
    off = vma_end(&l->v[i]);
  }
  return true;
}

u32 vma_find_hole(const struct vma_list *l, u64 len, u64 lo, u64 hi) {
  for (u32 i = vma_index(l, lo); i < l->n && l->v[i].off < hi; i++) {
    if (l->v[i].off >= lo + len)
      return (u32)lo;
    lo = vma_end(&l->v[i]);
  }
  return lo + len <= hi ? (u32)lo : 0;
}

/* ---- changes --------------------------------------------------------------------------- */

/* May b, which begins where a ends, become part of a? */
static bool continues(const struct vma *a, const struct vma *b) {
  return vma_end(a) == b->off && a->prot == b->prot && a->kind == b->kind && a->flags == b->flags &&
         a->obj == b->obj && a->file == b->file &&
         ((a->obj == NULL && a->file == NULL) || a->obj_off + a->len == b->obj_off);
}

/* Merges entry i+1 into i if it continues it. */
static bool merge(struct vma_list *l, u32 i) {
  if (i + 1 >= l->n || !continues(&l->v[i], &l->v[i + 1]))
    return false;
  l->v[i].len += l->v[i + 1].len;
  vma_put(&l->v[i + 1]);
  close_slots(l, i + 1, i + 2);
  return true;
}

void vma_insert(struct vma_list *l, const struct vma *v) {
  u32 i = vma_index(l, v->off);
  kassert(v->len > 0 && (i == l->n || l->v[i].off >= vma_end(v)));
  open_slot(l, i);
  l->v[i] = *v;
  account(l, v, v->len);
  merge(l, i);
  if (i > 0)
    merge(l, i - 1);
}

static void drop_head(struct vma *v, u64 n) {
  v->off += n;
  v->len -= n;
  if (v->obj != NULL || v->file != NULL)
    v->obj_off += n;
}

/* Splits the entry that contains off, if it does not begin there. */
static void split(struct vma_list *l, u64 off) {
  u32 i = vma_index(l, off);
  if (i == l->n || l->v[i].off >= off)
    return;
  u64 head = off - l->v[i].off;
  open_slot(l, i);
  vma_get(&l->v[i]);
  l->v[i].len = head;
  drop_head(&l->v[i + 1], head);
}

void vma_remove(struct vma_list *l, u64 off, u64 len) {
  u64 end = off + len;
  u32 i = vma_index(l, off);
  if (i < l->n && l->v[i].off < off && vma_end(&l->v[i]) > end) { /* a hole in its middle */
    split(l, end);
    l->v[i].len = off - l->v[i].off;
    unaccount(l, &l->v[i], len);
    return;
  }
  if (i < l->n && l->v[i].off < off) {
    unaccount(l, &l->v[i], vma_end(&l->v[i]) - off);
    l->v[i].len = off - l->v[i].off;
    i++;
  }
  u32 j = i;
  for (; j < l->n && vma_end(&l->v[j]) <= end; j++) {
    unaccount(l, &l->v[j], l->v[j].len);
    vma_put(&l->v[j]);
  }
  if (j < l->n && l->v[j].off < end) {
    unaccount(l, &l->v[j], end - l->v[j].off);
    drop_head(&l->v[j], end - l->v[j].off);
  }
  close_slots(l, i, j);
}

void vma_change(struct vma_list *l, u64 off, u64 len, void (*change)(struct vma *v, u64 arg),
                u64 arg) {
  u64 end = off + len;
  split(l, off);
  split(l, end);
  u32 first = vma_index(l, off), i;
  for (i = first; i < l->n && l->v[i].off < end; i++) {
    unaccount(l, &l->v[i], l->v[i].len);
    change(&l->v[i], arg);
    account(l, &l->v[i], l->v[i].len);
  }
  while (i-- > first)
    merge(l, i);
  if (first > 0)
    merge(l, first - 1);
}
