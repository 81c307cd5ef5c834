/* SPDX-License-Identifier: MIT */
/*
 * Regions for unit tests: reserved address space of the host, filled page by page. Fork copies
 * private memory and maps objects again. User copies go through the host kernel, which checks the
 * pages' protection, so a page that is not there is an error and not a crash.
 */
#define _GNU_SOURCE
#include "include/ufork/abi.h"
#include "kernel/errno.h"
#include "kernel/mm/usercopy.h"
#include "kernel/plat.h"
#include "kernel/test/fake/fake_region.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#define MAPS_MAX 4096

struct memobj {
  u32 refs;
  int fd;
};

/* One call of region_map*: cut by later ones. Enough for fork to know what to do. */
struct fake_map {
  u64 lo, hi;
  int prot;
  struct memobj *obj;
  u64 objoff;
};

struct region {
  char *base;
  struct fake_map map[MAPS_MAX];
  unsigned n;
};

unsigned fake_regions, fake_memobjs, fake_fail_maps;

static void must(bool ok) {
  if (!ok) {
    perror("fake region");
    abort();
  }
}

/* ---- life ------------------------------------------------------------------------------ */

int region_create(u64 group, struct region **out) {
  (void)group;
  struct region *r = calloc(1, sizeof *r);
  char *p = mmap(NULL, 2 * UF_REGION_ALIGN, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                 -1, 0);
  must(r && p != MAP_FAILED);
  r->base = (char *)round_up((u64)p, UF_REGION_ALIGN);
  munmap(p, (size_t)(r->base - p));
  munmap(r->base + UF_REGION_ALIGN, UF_REGION_ALIGN - (size_t)(r->base - p));
  fake_regions++;
  *out = r;
  return 0;
}

static void drop(struct fake_map *m) {
  if (m->obj)
    memobj_put(m->obj);
}

void region_destroy(struct region *r) {
  for (unsigned i = 0; i < r->n; i++)
    drop(&r->map[i]);
  munmap(r->base, UF_REGION_ALIGN);
  free(r);
  fake_regions--;
}

u64 region_base(const struct region *r) { return (u64)r->base; }
unsigned region_count(void) { return fake_regions; }
void region_trim(void) {}

/* ---- mapping --------------------------------------------------------------------------- */

static struct fake_map *add(struct region *r, const struct fake_map *m) {
  must(r->n < MAPS_MAX);
  r->map[r->n] = *m;
  if (m->obj)
    memobj_get(m->obj);
  return &r->map[r->n++];
}

/* Removes [lo, hi) from the notes; calls each(part) before. */
static void cut(struct region *r, u64 lo, u64 hi) {
  for (unsigned i = r->n; i-- > 0;) {
    struct fake_map m = r->map[i];
    if (m.hi <= lo || m.lo >= hi)
      continue;
    if (m.lo < lo)
      add(r, &(struct fake_map){m.lo, lo, m.prot, m.obj, m.objoff});
    if (m.hi > hi)
      add(r, &(struct fake_map){hi, m.hi, m.prot, m.obj, m.objoff + (hi - m.lo)});
    drop(&m);
    r->map[i] = r->map[--r->n];
  }
}

static void host_map(struct region *r, const struct fake_map *m) {
  int flags = m->obj ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS;
  void *p = mmap(r->base + m->lo, m->hi - m->lo, m->prot, flags | MAP_FIXED,
                 m->obj ? m->obj->fd : -1, (off_t)m->objoff);
  must(p != MAP_FAILED);
}

static bool is_free(const struct region *r, u64 lo, u64 hi) {
  for (unsigned i = 0; i < r->n; i++)
    if (r->map[i].lo < hi && lo < r->map[i].hi)
      return false;
  return true;
}

int region_map(struct region *r, u32 off, u32 len, int prot, enum region_class c) {
  (void)c;
  must(len > 0 && is_free(r, off, (u64)off + len)); /* the contract: the range is unmapped */
  if (fake_fail_maps && --fake_fail_maps == 0)
    return -ENOMEM;
  host_map(r, add(r, &(struct fake_map){off, (u64)off + len, prot, NULL, 0}));
  return 0;
}

int region_map_object(struct region *r, u32 off, u32 len, int prot, struct memobj *o, u64 objoff) {
  must(len > 0 && is_free(r, off, (u64)off + len));
  host_map(r, add(r, &(struct fake_map){off, (u64)off + len, prot, o, objoff}));
  return 0;
}

int region_unmap(struct region *r, u32 off, u32 len, bool lazily) {
  (void)lazily;
  cut(r, off, (u64)off + len);
  void *p = mmap(r->base + off, len, PROT_NONE,
                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
  must(p != MAP_FAILED);
  return 0;
}

int region_protect(struct region *r, u32 off, u32 len, int prot) {
  u64 lo = off, hi = (u64)off + len, covered = 0;
  struct fake_map parts[64];
  unsigned n = 0;
  for (unsigned i = 0; i < r->n; i++) {
    struct fake_map m = r->map[i];
    if (m.hi <= lo || m.lo >= hi)
      continue;
    u64 from = max_u64(m.lo, lo);
    must(n < ARRAY_LEN(parts));
    parts[n++] = (struct fake_map){from, min_u64(m.hi, hi), prot, m.obj, m.objoff + (from - m.lo)};
    covered += parts[n - 1].hi - from;
    if (m.obj)
      memobj_get(m.obj);
  }
  must(covered == len);
  cut(r, lo, hi);
  for (unsigned i = 0; i < n; i++) {
    add(r, &parts[i]);
    drop(&parts[i]);
  }
  must(mprotect(r->base + off, len, prot) == 0);
  return 0;
}

int region_discard(struct region *r, u32 off, u32 len) {
  must(madvise(r->base + off, len, MADV_DONTNEED) == 0);
  return 0;
}

static void copy_private(struct region *from, struct region *to, const struct fake_map *m) {
  size_t n = m->hi - m->lo;
  must(mprotect(from->base + m->lo, n, PROT_READ | PROT_WRITE) == 0);
  must(mprotect(to->base + m->lo, n, PROT_READ | PROT_WRITE) == 0);
  memcpy(to->base + m->lo, from->base + m->lo, n);
  must(mprotect(from->base + m->lo, n, m->prot) == 0);
  must(mprotect(to->base + m->lo, n, m->prot) == 0);
}

int region_fork(struct region *parent, const struct region_fork_args *a, struct region **out) {
  (void)a;
  region_create(0, out);
  for (unsigned i = 0; i < parent->n; i++) {
    host_map(*out, add(*out, &parent->map[i]));
    if (parent->map[i].obj == NULL)
      copy_private(parent, *out, &parent->map[i]);
  }
  return 0;
}

void region_begin(struct region *r) { (void)r; }

void region_after_fork(struct region *r) { (void)r; }

bool region_fault(struct region *r, u32 off, bool write) {
  (void)r, (void)off, (void)write;
  return false;
}

void region_usage(struct region *r, struct region_usage *u) {
  (void)r;
  *u = (struct region_usage){0};
}

void region_usage_of(struct region *r, u64 off, u64 end, struct region_usage *u) {
  (void)off, (void)end;
  region_usage(r, u);
}

/* ---- objects ----------------------------------------------------------------------------- */

int memobj_create(u64 size, struct memobj **out) {
  struct memobj *o = malloc(sizeof *o);
  must(o != NULL);
  o->refs = 1;
  o->fd = memfd_create("object", 0);
  must(o->fd >= 0 && ftruncate(o->fd, (off_t)size) == 0);
  fake_memobjs++;
  *out = o;
  return 0;
}

void memobj_get(struct memobj *o) { o->refs++; }

void memobj_put(struct memobj *o) {
  if (--o->refs)
    return;
  close(o->fd);
  free(o);
  fake_memobjs--;
}

int memobj_resize(struct memobj *o, u64 size) { return ftruncate(o->fd, (off_t)size) ? -EIO : 0; }

i64 memobj_read(struct memobj *o, u64 at, void *buf, size_t n) {
  return pread(o->fd, buf, n, (off_t)at);
}

i64 memobj_write(struct memobj *o, u64 at, const void *buf, size_t n) {
  return pwrite(o->fd, buf, n, (off_t)at);
}

int memobj_punch(struct memobj *o, u64 at, u64 n) {
  char *zeros = calloc(1, n);
  must(pwrite(o->fd, zeros, n, (off_t)at) == (ssize_t)n);
  free(zeros);
  return 0;
}

/* ---- user memory ------------------------------------------------------------------------- */

/* Bytes copied before the first missing page. Page by page: the host reports no address. */
static size_t host_copy(char *user, char *kernel, size_t n, bool out) {
  size_t done = 0;
  while (done < n) {
    size_t k = min_u64(n - done, PAGE_SIZE - ((u64)(user + done) & (PAGE_SIZE - 1)));
    struct iovec u = {user + done, k}, v = {kernel + done, k};
    ssize_t got = out ? process_vm_writev(getpid(), &v, 1, &u, 1, 0)
                      : process_vm_readv(getpid(), &v, 1, &u, 1, 0);
    if (got != (ssize_t)k)
      break;
    done += k;
  }
  return done;
}

static int copy(char *user, char *kernel, size_t n, bool out) {
  for (unsigned tries = 0; tries < 100; tries++) {
    size_t done = host_copy(user, kernel, n, out);
    if (done == n)
      return 0;
    user += done, kernel += done, n -= done;
    if (!user_fault((u64)user, out))
      return -EFAULT;
  }
  return -EFAULT;
}

int plat_copy_in(void *dst, const void *user, size_t n) {
  return copy((char *)(u64)user, dst, n, false);
}

int plat_copy_out(void *user, const void *src, size_t n) {
  return copy(user, (char *)(u64)src, n, true);
}

int plat_copy_try(void *dst, const void *src, size_t n) {
  (void)dst, (void)src, (void)n;
  return -EFAULT; /* the tests are about the longer way */
}

int plat_user_load32(const void *user, u32 *v) { return plat_copy_in(v, user, sizeof *v); }

int plat_user_cmpxchg32(void *user, u32 old, u32 new_, u32 *seen) {
  int err = plat_copy_in(seen, user, sizeof *seen);
  return err || *seen != old ? err : plat_copy_out(user, &new_, sizeof new_);
}
