/* SPDX-License-Identifier: MIT */
/*
 * fork, the eager tier: the child's region takes the shape of the parent's, then anonymous pages
 * are copied. A warm region of the same program has that shape already, so that this is memcpy
 * alone. Pages of a warm region that are not copied are zeroed: nothing of a dead µprocess stays.
 *
 * A parent that goes on in its stand-in leaves its pages behind as they were. Then the child copies
 * them itself, on its own CPU, when it begins to run.
 */
#include "kernel/errno.h"
#include "lib/string.h"
#include "plat/hosted/linux.h"
#include "plat/hosted/seg.h"

#define RED_ZONE 128u

static struct dead_stack dead_stack_of(const struct region_fork_args *a) {
  struct dead_stack d = {0, 0};
  u32 floor = a->sp > RED_ZONE ? (a->sp - RED_ZONE) & (u32)PAGE_MASK : 0;
  if (a->stack_hi && floor > a->stack_lo && floor <= a->stack_hi)
    d = (struct dead_stack){a->stack_lo, floor};
  return d;
}

static bool page_is_zero(const u8 *p) {
  const u64 *w = (const u64 *)p;
  for (unsigned i = 0; i < PAGE_SIZE / 8; i += 8)
    if (w[i] | w[i + 1] | w[i + 2] | w[i + 3] | w[i + 4] | w[i + 5] | w[i + 6] | w[i + 7])
      return false;
  return true;
}

/* One page; `fresh`: the child's is known to read as zeros. Reading before writing keeps zero pages
   without frames of their own. */
static void copy_page(u8 *dst, const u8 *src, bool fresh) {
  if (src && !page_is_zero(src))
    memcpy(dst, src, PAGE_SIZE);
  else if (!fresh && !page_is_zero(dst))
    memset(dst, 0, PAGE_SIZE);
}

static void copy_pages(struct region *child, const struct region *parent, u32 off, u32 end,
                       bool fresh, const struct dead_stack *dead) {
  for (; off < end; off += PAGE_SIZE) {
    bool skip = off >= dead->lo && off < dead->hi;
    copy_page(region_ptr(child, off), skip ? NULL : region_ptr(parent, off), fresh);
  }
}

/* Makes both sides accessible for the copy where the mapping's own protection does not. */
static int copy_extent(struct region *child, struct region *parent, const struct extent *e,
                       bool fresh, const struct dead_stack *dead) {
  bool unreadable = !(e->prot & REGION_READ), unwritable = !(e->prot & REGION_WRITE);
  int err = 0;
  if (unreadable)
    err = host_protect(parent, e->off, e->end, REGION_READ);
  if (!err && unwritable)
    err = host_protect(child, e->off, e->end, REGION_READ | REGION_WRITE);
  if (!err)
    copy_pages(child, parent, e->off, e->end, fresh, dead);
  if (unwritable && !err)
    err = host_protect(child, e->off, e->end, e->prot);
  if (unreadable)
    host_protect(parent, e->off, e->end, e->prot);
  return err;
}

static bool same_host_mapping(const struct extent *a, const struct extent *b) {
  return a->kind == b->kind && a->prot == b->prot && a->obj == b->obj && a->seg == b->seg &&
         (a->kind != EXTENT_OBJECT || a->obj_off - a->off == b->obj_off - b->off);
}

/* Does the warm region map exactly what the parent does? */
static bool same_shape(const struct extents *warm, const struct extents *parent) {
  u32 w = 0;
  for (u32 p = 0; p < parent->n; p++) {
    const struct extent *e = &parent->v[p];
    if (e->kind == EXTENT_EMPTY)
      continue;
    if (w == warm->n || warm->v[w].off != e->off || warm->v[w].end != e->end ||
        !same_host_mapping(&warm->v[w], e))
      return false;
    w++;
  }
  return w == warm->n;
}

/* Unmaps what a warm region has and the parent has not, as whole extents. */
static int drop_strangers(struct region *child, const struct extents *parent) {
  for (u32 i = 0; i < child->map.n;) {
    struct extent *e = &child->map.v[i];
    const struct extent *p = extents_at(parent, e->off);
    if (p && p->off == e->off && p->end == e->end && same_host_mapping(e, p)) {
      i++;
      continue;
    }
    if (host_unmap(child, e->off, e->end))
      return -ENOMEM;
    if (e->kind == EXTENT_ANON)
      anon_account(child, -(i64)pages_of(e->off, e->end));
    extents_remove(&child->map, e->off, e->end);
  }
  seg_drop_unused(child);
  return 0;
}

/* Maps one extent of the parent and enters it in the child's books. */
static int take_extent(struct region *child, const struct extent *e) {
  int err = host_map(child, e);
  if (err)
    return err;
  if (e->obj)
    memobj_get(e->obj);
  if (e->kind == EXTENT_ANON)
    anon_account(child, pages_of(e->off, e->end));
  extents_add_inherited(&child->map, e);
  return 0;
}

/* dead NULL: mappings alone. */
static int copy_all(struct region *child, struct region *parent, const struct dead_stack *dead) {
  int err = extents_reserve(&child->map, parent->map.n + 2);
  bool same = same_shape(&child->map, &parent->map);
  if (same && !dead)
    return err;
  if (!err && !same)
    err = drop_strangers(child, &parent->map);
  for (u32 i = 0; i < parent->map.n && !err; i++) {
    const struct extent *e = &parent->map.v[i];
    if (e->kind == EXTENT_LAZY)
      continue;
    bool warm = extents_at(&child->map, e->off) != NULL;
    if (!warm)
      err = take_extent(child, e);
    if (!err && e->kind == EXTENT_ANON && dead)
      err = copy_extent(child, parent, e, !warm, dead);
  }
  return err;
}

int region_copy_hot(struct region *to, struct region *from) {
  return copy_all(to, from, &(struct dead_stack){0, 0});
}

/* Anonymous memory that can be moved is readable and writable. */
void region_complete(struct region *child) {
  struct stand_in *p = child->source;
  if (!p)
    return;
  for (u32 i = 0; i < child->map.n; i++) {
    const struct extent *e = &child->map.v[i];
    if (e->kind == EXTENT_ANON)
      copy_pages(child, stand_in_place(p), e->off, e->end, false, &child->dead);
  }
  __atomic_store_n(&child->source, NULL, __ATOMIC_RELEASE);
  stand_in_put(p, NULL);
}

void region_abandon(struct region *child) {
  if (child->source)
    stand_in_put(child->source, NULL);
  child->source = NULL;
}

void region_begin(struct region *child) {
  if (likely(!child->begins && !__atomic_load_n(&child->source, __ATOMIC_ACQUIRE)))
    return;
  hostmutex_lock(&child->lock);
  for (u32 i = 0; child->begins && i < child->n_segs; i++)
    seg_watch(child->segs[i]);
  child->begins = false;
  region_complete(child);
  hostmutex_unlock(&child->lock);
}

int region_map_ahead(struct region *to, struct region *from) {
  int err = copy_all(to, from, NULL);
  return err ? err : segs_map_ahead(to, from);
}

void region_prepare_child(struct region *r) {
  struct region *child = pool_take(r->group);
  if (!child && region_new(r->group, &child))
    return;
  child->warm = true;
  if (region_map_ahead(child, r))
    region_free(child);
  else
    pool_put(child);
}

/* Tells the thaw thread and the rest of fork how often this region forks. */
static void note_fork(struct region *r) {
  u64 now = plat_now();
  r->fork_gap = now - r->forked_at;
  r->forked_at = now;
  if (!region_is_zygote(r))
    r->row = r->fork_gap < ZYGOTE_GAP_NS ? r->row + 1 : 0;
}

static int fork_locked(struct region *parent, const struct region_fork_args *a,
                       struct region **out) {
  struct dead_stack dead = dead_stack_of(a);
  struct stand_in *left = NULL;
  if (parent->n_segs)
    note_fork(parent);
  bool moves = parent->n_segs && stand_in_ready(parent, a->may_move);
  int err = parent->n_segs && !moves ? segs_prepare(parent) : 0;
  if (err)
    return err;
  struct region *child = pool_take(parent->group);
  err = child ? 0 : region_create(parent->group, &child);
  if (err)
    return err;
  child->lives++;
  if (!plat_mem_fits((u64)parent->anon_pages * PAGE_SIZE))
    err = -ENOMEM;
  if (!err)
    err = copy_all(child, parent, moves ? NULL : &dead);
  if (err)
    segs_drop_warm(parent, 0, child);
  else if (parent->n_segs)
    err = segs_fork(parent, child, moves ? &left : NULL);
  if (left) {
    child->source = left;
    child->dead = dead;
  }
  child->warm = false;
  child->is_child = true;
  child->of_zygote = region_is_zygote(parent);
  child->born_at = parent->forked_at;
  if (err) {
    region_free(child);
    return err;
  }
  if (child->begins) /* a large segment has been frozen */
    plat_watch_calls(true);
  *out = child;
  return 0;
}

int region_fork(struct region *parent, const struct region_fork_args *a, struct region **out) {
  hostmutex_lock(&parent->lock);
  int err = fork_locked(parent, a, out);
  hostmutex_unlock(&parent->lock);
  return err;
}
