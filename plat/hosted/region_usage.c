/* SPDX-License-Identifier: MIT */
/*
 * How much memory a region takes. The host walks page tables for that, which takes milliseconds for
 * a gigabyte, and programs ask for it many times a second: what was dear to find out is told again
 * for a while.
 */
#include "kernel/mm/kmalloc.h"
#include "plat/hosted/linux.h"
#include "plat/hosted/pagemap.h"
#include "plat/hosted/seg.h"

static u64 object_bytes(const struct memobj *o) {
  struct lx_stat st;
  return lx2(fstat, o->fd, &st) == 0 ? (u64)st.blocks * 512 : 0;
}

static int add_run(void *arg, u64 at, u64 end) {
  *(u64 *)arg += round_up(end - at, PAGE_SIZE);
  return 0;
}

/* Of these, what is in [at, end) of the object; of a host file, whose position is not ours to move,
   at most that much. */
static u64 object_bytes_of(const struct memobj *o, u64 at, u64 end) {
  u64 bytes = 0;
  if (o->host_file)
    return min_u64(end - at, object_bytes(o));
  memobj_each_data(o, at, end, add_run, &bytes);
  return bytes;
}

/* Pages that only this region has: anonymous ones. */
static u64 anonymous_bytes(const struct region *r, const struct extent *e) {
  u64 pages = 0;
  if (e->seg)
    seg_each_private(r, e->seg, e->off, e->end, NULL, NULL, &pages);
  else
    pagemap_each_private(r->base + e->off, r->base + e->end, NULL, NULL, &pages);
  return pages * PAGE_SIZE;
}

/* The live and the frozen part of a segment that is being thawed have one object. */
static bool counted_before(const struct region *r, u32 index) {
  for (u32 i = 0; i < index; i++)
    if (r->segs[i]->obj == r->segs[index]->obj)
      return true;
  return false;
}

/*
 * Page tables that the host needs: one of the last level for each 2 MiB that hold pages, one above
 * for each GiB with such, and a region's share of the one above that. Where less is resident than
 * mapped, pages are taken to lie together.
 */
static u64 table_bytes(const struct region *r, const struct region_usage *u) {
  u64 tables = 0, dirs = 0, next_table = 0, next_dir = 0;
  u64 resident = (u->private_bytes + u->shared_bytes) / PAGE_SIZE;
  for (u32 i = 0; i < r->map.n; i++) {
    const struct extent *e = &r->map.v[i];
    if (e->kind == EXTENT_EMPTY)
      continue;
    u64 first = max_u64(e->off / MIB(2), next_table), last = (e->end - 1) / MIB(2);
    if (first <= last)
      tables += min_u64(last - first + 1, (e->end - e->off) / PAGE_SIZE);
    next_table = last + 1;
    first = max_u64(e->off / GIB(1), next_dir), last = (e->end - 1) / GIB(1);
    if (first <= last)
      dirs += last - first + 1;
    next_dir = last + 1;
  }
  tables = min_u64(tables, resident / 512 + 2 * r->map.n);
  return (tables + dirs) * PAGE_SIZE + PAGE_SIZE * UF_REGION_STRIDE / (512 * GIB(1));
}

static void usage_locked(struct region *r, struct region_usage *u) {
  for (u32 i = 0; i < r->map.n; i++) {
    const struct extent *e = &r->map.v[i];
    if (e->kind == EXTENT_ANON || (e->kind == EXTENT_LAZY && e->seg->frozen))
      u->private_bytes += anonymous_bytes(r, e);
    else if (e->kind == EXTENT_OBJECT)
      u->shared_bytes += object_bytes_of(e->obj, e->obj_off, e->obj_off + (e->end - e->off));
  }
  for (u32 i = 0; i < r->n_segs; i++) {
    const struct seg *s = r->segs[i];
    if (counted_before(r, i))
      continue;
    bool alone = !s->frozen || __atomic_load_n(&s->sharers, __ATOMIC_RELAXED) == 1;
    *(alone ? &u->private_bytes : &u->shared_bytes) += object_bytes(s->obj);
  }
  u->record_bytes = kmalloc_size(r) + kmalloc_size(r->map.v);
  u->table_bytes = table_bytes(r, u);
}

struct beneath {
  const struct region *r;
  const struct memobj *obj;
  u64 bytes;
};

static int count_beneath(void *arg, u64 from, u64 to) {
  struct beneath *b = arg;
  b->bytes += object_bytes_of(b->obj, from - b->r->base, to - b->r->base);
  return 0;
}

/* Part of an extent. */
static void usage_of_part(const struct region *r, const struct extent *e, struct region_usage *u) {
  if (e->kind == EXTENT_ANON)
    u->private_bytes += anonymous_bytes(r, e);
  else if (e->kind == EXTENT_OBJECT)
    u->shared_bytes += object_bytes_of(e->obj, e->obj_off, e->obj_off + (e->end - e->off));
  else if (e->kind == EXTENT_LAZY) {
    const struct seg *s = e->seg;
    bool alone = !s->frozen || __atomic_load_n(&s->sharers, __ATOMIC_RELAXED) == 1;
    struct beneath b = {r, s->obj, 0};
    u64 written = 0;
    if (s->frozen)
      seg_each_private(r, s, e->off, e->end, count_beneath, &b, &written);
    u->private_bytes += written * PAGE_SIZE;
    *(alone ? &u->private_bytes : &u->shared_bytes) +=
        object_bytes_of(s->obj, e->off, e->end) - b.bytes;
  }
}

void region_usage_of(struct region *r, u64 off, u64 end, struct region_usage *u) {
  *u = (struct region_usage){0};
  hostmutex_lock(&r->lock);
  for (u32 i = extents_find(&r->map, (u32)off); i < r->map.n && r->map.v[i].off < end; i++) {
    struct extent e = r->map.v[i];
    u64 before = e.off < off ? off - e.off : 0;
    e.off += (u32)before;
    e.obj_off += before;
    e.end = (u32)min_u64(e.end, end);
    usage_of_part(r, &e, u);
  }
  hostmutex_unlock(&r->lock);
}

#define DEAR_NS 200000 /* cheaper: always asked anew */
#define SHARE 256      /* of all time, at most one in so many goes into asking */

void region_usage(struct region *r, struct region_usage *u) {
  hostmutex_lock(&r->lock);
  u64 start = plat_now();
  if (start >= r->usage_until) {
    r->usage = (struct region_usage){0};
    usage_locked(r, &r->usage);
    u64 end = plat_now(), took = end - start;
    r->usage_until = took > DEAR_NS ? end + took * SHARE : 0;
  }
  *u = r->usage;
  hostmutex_unlock(&r->lock);
}
