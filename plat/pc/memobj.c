/* SPDX-License-Identifier: MIT */
#include "plat/pc/memobj.h"
#include "kernel/errno.h"
#include "kernel/kassert.h"
#include "kernel/mm/kmalloc.h"
#include "lib/string.h"

#define NODE_BITS 9
#define NODE_ENTRIES 512u

/* Pages below a node `level` levels above frames. */
static u64 span(unsigned level) { return 1UL << NODE_BITS * level; }
static u64 *node(paddr p) { return phys_ptr(p); }

static unsigned height_for(u64 size) {
  u64 pages = (size + PAGE_SIZE - 1) >> PAGE_SHIFT;
  unsigned h = 0;
  while (h < 6 && pages > span(h))
    h++;
  return h;
}

/* ---- the tree, with the lock held ------------------------------------------------------------ */

/* Makes the tree at least h levels high. */
static int raise(struct memobj *o, unsigned h) {
  while (o->height < h) {
    if (o->root) {
      paddr p = frame_alloc_zeroed();
      if (p == 0)
        return -ENOMEM;
      node(p)[0] = o->root;
      o->root = p;
    }
    o->height++;
  }
  return 0;
}

static paddr *descend(paddr *at, unsigned level, u64 index, bool make) {
  for (;;) {
    if (*at == 0 && make)
      *at = frame_alloc_zeroed();
    if (*at == 0)
      return NULL;
    if (level == 0)
      return at;
    level--;
    at = &node(*at)[index >> NODE_BITS * level & (NODE_ENTRIES - 1)];
  }
}

static paddr lookup(struct memobj *o, u64 index, bool make) {
  if (index >= span(o->height))
    return 0;
  paddr *at = descend(&o->root, o->height, index, make);
  return at ? *at : 0;
}

/* Frees the pages [lo, hi) of the subtree at *at, whose first page is `first` and some of whose
   pages are in the range; mapped ones are zeroed instead. Nodes that are empty afterwards go as
   well. */
static void punch(paddr *at, unsigned level, u64 first, u64 lo, u64 hi);

static bool punch_children(paddr at, unsigned level, u64 first, u64 lo, u64 hi) {
  bool empty = true;
  for (unsigned i = 0; i < NODE_ENTRIES; i++) {
    u64 from = first + i * span(level - 1);
    if (from < hi && from + span(level - 1) > lo)
      punch(&node(at)[i], level - 1, from, lo, hi);
    empty &= node(at)[i] == 0;
  }
  return empty;
}

static void punch(paddr *at, unsigned level, u64 first, u64 lo, u64 hi) {
  if (*at == 0)
    return;
  if (level > 0) {
    if (punch_children(*at, level, first, lo, hi)) {
      frame_free_zeroed(*at);
      *at = 0;
    }
  } else if (frame_refs(*at) > 1) {
    memset(phys_ptr(*at), 0, PAGE_SIZE);
  } else {
    frame_put(*at);
    *at = 0;
  }
}

static void free_tree(paddr at, unsigned level) {
  for (unsigned i = 0; level > 0 && i < NODE_ENTRIES; i++)
    if (node(at)[i])
      free_tree(node(at)[i], level - 1);
  frame_put(at);
}

/* ---- life ------------------------------------------------------------------------------------ */

int memobj_create(u64 size, struct memobj **out) {
  struct memobj *o = kzalloc(sizeof(*o));
  if (o == NULL)
    return -ENOMEM;
  o->refs = 1;
  o->size = size;
  o->height = height_for(size);
  *out = o;
  return 0;
}

void memobj_get(struct memobj *o) { __atomic_add_fetch(&o->refs, 1, __ATOMIC_RELAXED); }

void memobj_put(struct memobj *o) {
  if (__atomic_sub_fetch(&o->refs, 1, __ATOMIC_ACQ_REL) != 0)
    return;
  if (o->root)
    free_tree(o->root, o->height);
  kfree(o);
}

/* ---- contents -------------------------------------------------------------------------------- */

static bool has(const struct memobj *o, u64 index) {
  return index < (o->size + PAGE_SIZE - 1) >> PAGE_SHIFT;
}

bool memobj_has(struct memobj *o, u64 index) {
  spin_lock(&o->lock);
  bool is = has(o, index);
  spin_unlock(&o->lock);
  return is;
}

paddr memobj_frame(struct memobj *o, u64 index, bool make) {
  paddr p = 0;
  spin_lock(&o->lock);
  if (has(o, index))
    p = lookup(o, index, make);
  if (p)
    frame_get(p);
  spin_unlock(&o->lock);
  return p;
}

/* Zeroes bytes inside one page. */
static void zero_part(struct memobj *o, u64 at, u64 end) {
  paddr p = at < end ? lookup(o, at >> PAGE_SHIFT, false) : 0;
  if (p)
    memset((char *)phys_ptr(p) + (at & (PAGE_SIZE - 1)), 0, end - at);
}

static void punch_locked(struct memobj *o, u64 at, u64 end) {
  u64 lo = round_up(at, PAGE_SIZE), hi = round_down(end, PAGE_SIZE);
  if (lo > hi) { /* inside one page */
    zero_part(o, at, end);
    return;
  }
  zero_part(o, at, lo);
  zero_part(o, hi, end);
  if (lo < hi && lo >> PAGE_SHIFT < span(o->height))
    punch(&o->root, o->height, 0, lo >> PAGE_SHIFT, hi >> PAGE_SHIFT);
}

#define SIZE_MAX_BYTES (1UL << 62)

int memobj_punch(struct memobj *o, u64 at, u64 n) {
  if (n == 0 || at >= SIZE_MAX_BYTES)
    return 0;
  spin_lock(&o->lock);
  punch_locked(o, at, at + min_u64(n, SIZE_MAX_BYTES - at));
  spin_unlock(&o->lock);
  return 0;
}

int memobj_resize(struct memobj *o, u64 size) {
  if (size > SIZE_MAX_BYTES)
    return -EFBIG;
  spin_lock(&o->lock);
  int err = raise(o, height_for(size));
  if (err == 0) {
    if (size < o->size)
      punch_locked(o, size, round_up(o->size, PAGE_SIZE));
    o->size = size;
  }
  spin_unlock(&o->lock);
  return err;
}

/* ---- copies: the lock is not held while user memory is touched ------------------------------- */

static const char zeros[PAGE_SIZE];

static int read_piece(struct memobj *o, u64 at, void *buf, size_t n) {
  paddr p = memobj_frame(o, at >> PAGE_SHIFT, false);
  if (p == 0)
    return plat_copy_out(buf, zeros, n);
  int err = plat_copy_out(buf, (char *)phys_ptr(p) + (at & (PAGE_SIZE - 1)), n);
  frame_put(p);
  return err;
}

static int write_piece(struct memobj *o, u64 at, const void *buf, size_t n) {
  paddr p = memobj_frame(o, at >> PAGE_SHIFT, true);
  if (p == 0)
    return -ENOSPC;
  int err = plat_copy_in((char *)phys_ptr(p) + (at & (PAGE_SIZE - 1)), buf, n);
  frame_put(p);
  return err;
}

static size_t piece(u64 at, size_t left) {
  return min_u64(left, PAGE_SIZE - (at & (PAGE_SIZE - 1)));
}

static u64 bytes_from(struct memobj *o, u64 at, size_t n) {
  u64 size = __atomic_load_n(&o->size, __ATOMIC_RELAXED);
  return at >= size ? 0 : min_u64(n, size - at);
}

i64 memobj_read(struct memobj *o, u64 at, void *buf, size_t n) {
  size_t done = 0, all = bytes_from(o, at, n);
  while (done < all) {
    size_t k = piece(at + done, all - done);
    int err = read_piece(o, at + done, (char *)buf + done, k);
    if (err)
      return done ? (i64)done : err;
    done += k;
  }
  return (i64)done;
}

i64 memobj_write(struct memobj *o, u64 at, const void *buf, size_t n) {
  size_t done = 0, all = bytes_from(o, at, n);
  while (done < all) {
    size_t k = piece(at + done, all - done);
    int err = write_piece(o, at + done, (const char *)buf + done, k);
    if (err)
      return done ? (i64)done : err;
    done += k;
  }
  return (i64)done;
}
