/* SPDX-License-Identifier: MIT */
/*
 * Three layers. Objects of one size class are cut from slabs, SLAB_SIZE-aligned blocks that start
 * with a header, so that kfree finds the class by masking the pointer. A class (central, one lock)
 * keeps the slabs that have free objects. In front of it stands a stack of free objects per CPU,
 * refilled and flushed in batches. A request above the largest class is a block of its own with
 * the same header.
 *
 * A CPU's stack has a lock all the same: a hosted CPU may be preempted by another thread that is
 * bound to the same index early in boot. It is uncontended, so it costs one exchange.
 * Lock order: cpu_cache.lock -> size_class.lock.
 */
#include "kernel/mm/kmalloc.h"
#include "kernel/kassert.h"
#include "kernel/thread.h"
#include "lib/list.h"
#include "lib/spin.h"
#include "lib/string.h"

#define SLAB_SIZE KIB(32)
#define SLAB_PAGES (SLAB_SIZE / PAGE_SIZE)
#define SLAB_MAGIC 0x534c4142u
#define LARGE_MAGIC 0x4c524745u
#define POISON_BYTE 0xa5
#define POISON_MAX 128 /* bytes per object: enough to catch stale pointers, cheap enough */

/* The unit tests build with it: writes after free are found when the object is handed out again. */
#ifdef KMALLOC_DEBUG
enum { poisoning = 1 };
#else
enum { poisoning = 0 };
#endif

static const u16 class_size[] = {16,  32,  48,  64,   96,   128,  192, 256,
                                 384, 512, 768, 1024, 1536, 2048, 4096};
#define NCLASSES ARRAY_LEN(class_size)
#define CLASS_MAX 4096u

struct object {
  struct object *next;
};

struct slab {
  u32 magic;
  u16 class, used; /* used: objects out, in CPU caches included */
  u64 size;        /* usable bytes: of an object, or of the large block */
  u32 npages;
  u32 uncut;           /* offset of the part that was never handed out */
  struct object *free; /* under the class's lock */
  struct list node;    /* in class->partial while something is free */
} __attribute__((aligned(64)));

struct size_class {
  struct spin lock;
  struct list partial;
  u32 nfree_slabs; /* entirely free ones among partial */
  u32 taken;       /* objects out of its slabs, in CPU caches included */
} __attribute__((aligned(64)));

struct magazine {
  struct object *head;
  u32 count;
};

struct cpu_cache {
  struct spin lock;
  /* By kind: bytes handed out minus bytes taken back through this cache; may be negative. */
  i64 used[KMEM_NKINDS];
  struct magazine mags[NCLASSES];
} __attribute__((aligned(64)));

static struct size_class classes[NCLASSES];
static struct cpu_cache caches[MAX_CPUS];
static i64 large_used[KMEM_NKINDS];
static u64 large_pages, slab_pages;

/* Objects moved between a CPU and its class at a time: about 8 KiB worth, 2 to 32. */
static const u8 batch[NCLASSES] = {32, 32, 32, 32, 32, 32, 32, 32, 21, 16, 10, 8, 5, 4, 2};
static u32 batch_of(unsigned class) { return batch[class]; }

static inline unsigned class_of(size_t n) {
  static const u8 by_16[CLASS_MAX / 16 + 1] = {
      [0 ... 1] = 0,    [2] = 1,          [3] = 2,          [4] = 3,           [5 ... 6] = 4,
      [7 ... 8] = 5,    [9 ... 12] = 6,   [13 ... 16] = 7,  [17 ... 24] = 8,   [25 ... 32] = 9,
      [33 ... 48] = 10, [49 ... 64] = 11, [65 ... 96] = 12, [97 ... 128] = 13, [129 ... 256] = 14,
  };
  return by_16[(n + 15) / 16];
}

static struct cpu_cache *my_cache(void) { return &caches[thread_current()->cpu % MAX_CPUS]; }

static struct slab *slab_of(const void *p) {
  return (struct slab *)((uintptr_t)p & ~(SLAB_SIZE - 1));
}

/* ---- poison -------------------------------------------------------------------------- */

static size_t poison_len(unsigned class) {
  return min_u64(class_size[class], POISON_MAX) - sizeof(struct object);
}

static void poison(struct object *o, unsigned class) {
  if (poisoning)
    memset(o + 1, POISON_BYTE, poison_len(class));
}

static void check_poison(const struct object *o, unsigned class) {
  if (!poisoning)
    return;
  const u8 *b = (const u8 *)(o + 1);
  for (size_t i = 0; i < poison_len(class); i++)
    kassert(b[i] == POISON_BYTE); /* else: written after kfree */
}

/* ---- slabs: the class's lock is held --------------------------------------------------- */

static struct slab *slab_new(unsigned class) {
  struct slab *s = plat_pages_alloc(SLAB_PAGES, SLAB_SIZE);
  if (s == NULL)
    return NULL;
  __atomic_add_fetch(&slab_pages, SLAB_PAGES, __ATOMIC_RELAXED);
  s->magic = SLAB_MAGIC;
  s->class = class;
  s->used = 0;
  s->size = class_size[class];
  s->npages = SLAB_PAGES;
  s->uncut = sizeof *s;
  s->free = NULL;
  list_push_front(&classes[class].partial, &s->node);
  classes[class].nfree_slabs++;
  return s;
}

static bool slab_exhausted(const struct slab *s) {
  return s->free == NULL && s->uncut + s->size > SLAB_SIZE;
}

static struct object *slab_take(struct size_class *sc, struct slab *s) {
  struct object *o = s->free;
  if (o != NULL) {
    s->free = o->next;
  } else {
    o = (struct object *)((char *)s + s->uncut);
    s->uncut += s->size;
    poison(o, s->class);
  }
  sc->taken++;
  if (s->used++ == 0)
    sc->nfree_slabs--;
  if (slab_exhausted(s))
    list_remove(&s->node);
  return o;
}

/* Gives o back; a slab that became free beyond the reserve of one is unlinked and returned. */
static struct slab *slab_put(struct size_class *sc, struct object *o) {
  struct slab *s = slab_of(o);
  if (slab_exhausted(s))
    list_push_front(&sc->partial, &s->node);
  o->next = s->free;
  s->free = o;
  sc->taken--;
  if (--s->used != 0)
    return NULL;
  list_remove(&s->node);
  if (sc->nfree_slabs >= 1) {
    s->magic = 0;
    return s;
  }
  sc->nfree_slabs++;
  list_push_back(&sc->partial, &s->node);
  return NULL;
}

/* ---- between a CPU and the class: the CPU's lock is held --------------------------------- */

static void refill(struct magazine *m, unsigned class) {
  struct size_class *sc = &classes[class];
  u32 want = batch_of(class);

  spin_lock(&sc->lock);
  if (sc->partial.next == NULL)
    list_init(&sc->partial);
  while (m->count < want) {
    struct slab *s =
        list_empty(&sc->partial) ? slab_new(class) : list_first(&sc->partial, struct slab, node);
    if (s == NULL)
      break;
    struct object *o = slab_take(sc, s);
    o->next = m->head;
    m->head = o;
    m->count++;
  }
  spin_unlock(&sc->lock);
}

static void flush(struct magazine *m, unsigned class, u32 keep) {
  struct size_class *sc = &classes[class];

  spin_lock(&sc->lock);
  while (m->count > keep) {
    struct object *o = m->head;
    m->head = o->next;
    m->count--;
    struct slab *empty = slab_put(sc, o);
    if (empty != NULL) {
      __atomic_sub_fetch(&slab_pages, SLAB_PAGES, __ATOMIC_RELAXED);
      plat_pages_free(empty, SLAB_PAGES);
    }
  }
  spin_unlock(&sc->lock);
}

void kmalloc_trim(void) {
  for (unsigned i = 0; i < MAX_CPUS; i++) {
    struct cpu_cache *c = &caches[i];
    for (unsigned k = 0; k < NCLASSES; k++) {
      spin_lock(&c->lock);
      if (c->mags[k].head != NULL)
        flush(&c->mags[k], k, 0);
      spin_unlock(&c->lock);
    }
  }
}

/* The lock is held: an object of the class, or NULL. */
static inline struct object *take_cached(struct cpu_cache *c, enum kmem_kind k, unsigned class) {
  struct magazine *m = &c->mags[class];
  struct object *o = m->head;
  if (likely(o != NULL)) {
    m->head = o->next;
    m->count--;
    c->used[k] += class_size[class];
  }
  return o;
}

static struct object *refill_and_take(struct cpu_cache *c, enum kmem_kind k, unsigned class) {
  spin_lock(&c->lock);
  if (c->mags[class].head == NULL)
    refill(&c->mags[class], class);
  struct object *o = take_cached(c, k, class);
  spin_unlock(&c->lock);
  return o;
}

static __attribute__((noinline)) struct object *alloc_slowly(enum kmem_kind k, unsigned class) {
  struct cpu_cache *c = my_cache();
  struct object *o = refill_and_take(c, k, class);
  if (o == NULL) { /* another CPU may keep some, or what makes up a slab */
    kmalloc_trim();
    o = refill_and_take(c, k, class);
  }
  return o;
}

static inline struct object *small_alloc(enum kmem_kind k, unsigned class) {
  struct cpu_cache *c = my_cache();
  spin_lock(&c->lock);
  struct object *o = take_cached(c, k, class);
  spin_unlock(&c->lock);
  if (unlikely(o == NULL))
    o = alloc_slowly(k, class);
  if (poisoning && o != NULL)
    check_poison(o, class);
  return o;
}

static __attribute__((noinline)) void flush_cache(struct cpu_cache *c, unsigned class) {
  spin_lock(&c->lock);
  if (c->mags[class].count > 2 * batch_of(class))
    flush(&c->mags[class], class, batch_of(class));
  spin_unlock(&c->lock);
}

static inline void small_free(enum kmem_kind k, struct slab *s, struct object *o) {
  unsigned class = s->class;
  struct cpu_cache *c = my_cache();
  struct magazine *m = &c->mags[class];

  if (poisoning) /* a division costs as much as the rest */
    kassert(((char *)o - (char *)s - sizeof *s) % s->size == 0);
  poison(o, class);
  spin_lock(&c->lock);
  kassert(o != m->head); /* freed twice */
  o->next = m->head;
  m->head = o;
  u32 count = ++m->count;
  c->used[k] -= class_size[class];
  spin_unlock(&c->lock);
  if (unlikely(count > 2 * batch_of(class)))
    flush_cache(c, class);
}

/* ---- large blocks ---------------------------------------------------------------------- */

static void *large_alloc(enum kmem_kind k, size_t n) {
  if (n > SIZE_MAX / 2)
    return NULL;
  size_t npages = round_up(n + sizeof(struct slab), PAGE_SIZE) / PAGE_SIZE;
  if (npages > UINT32_MAX)
    return NULL;
  if (npages < SLAB_PAGES)
    npages = SLAB_PAGES; /* what its alignment costs anyway */
  struct slab *s = plat_pages_alloc(npages, SLAB_SIZE);
  if (s == NULL)
    return NULL;
  s->magic = LARGE_MAGIC;
  s->npages = npages;
  s->size = npages * PAGE_SIZE - sizeof *s;
  __atomic_add_fetch(&large_used[k], (i64)s->size, __ATOMIC_RELAXED);
  __atomic_add_fetch(&large_pages, npages, __ATOMIC_RELAXED);
  return s + 1;
}

static void large_free(enum kmem_kind k, struct slab *s) {
  __atomic_sub_fetch(&large_used[k], (i64)s->size, __ATOMIC_RELAXED);
  __atomic_sub_fetch(&large_pages, s->npages, __ATOMIC_RELAXED);
  s->magic = 0;
  plat_pages_free(s, s->npages);
}

/* ---- public ---------------------------------------------------------------------------- */

void *kmalloc_as(enum kmem_kind k, size_t n) {
  return likely(n <= CLASS_MAX) ? small_alloc(k, class_of(n)) : large_alloc(k, n);
}

void *kzalloc_as(enum kmem_kind k, size_t n) {
  if (n > CLASS_MAX)
    return large_alloc(k, n); /* fresh pages are zero */
  void *p = small_alloc(k, class_of(n));
  if (p != NULL)
    memset(p, 0, n);
  return p;
}

void kfree_as(enum kmem_kind k, void *p) {
  if (p == NULL)
    return;
  struct slab *s = slab_of(p);
  if (likely(s->magic == SLAB_MAGIC)) {
    small_free(k, s, p);
    return;
  }
  kassert(s->magic == LARGE_MAGIC && p == s + 1);
  large_free(k, s);
}

void *krealloc_as(enum kmem_kind k, void *p, size_t n) {
  if (p == NULL)
    return kmalloc_as(k, n);
  size_t had = slab_of(p)->size;
  if (n <= had && n > had / 4)
    return p;
  void *q = kmalloc_as(k, n);
  if (q == NULL)
    return n <= had ? p : NULL;
  memcpy(q, p, min_u64(had, n));
  kfree_as(k, p);
  return q;
}

void *kmalloc(size_t n) { return kmalloc_as(KMEM_OTHER, n); }
void *kzalloc(size_t n) { return kzalloc_as(KMEM_OTHER, n); }
void *krealloc(void *p, size_t n) { return krealloc_as(KMEM_OTHER, p, n); }
void kfree(void *p) { kfree_as(KMEM_OTHER, p); }

char *kstrndup(const char *s, size_t n) {
  size_t len = strnlen(s, n);
  char *d = kmalloc(len + 1);
  if (d != NULL) {
    memcpy(d, s, len);
    d[len] = '\0';
  }
  return d;
}

char *kstrdup(const char *s) { return kstrndup(s, strlen(s)); }

u64 kmalloc_size(const void *p) { return p ? slab_of(p)->size : 0; }

u64 kmalloc_used_as(enum kmem_kind k) {
  i64 sum = __atomic_load_n(&large_used[k], __ATOMIC_RELAXED);
  for (unsigned i = 0; i < MAX_CPUS; i++)
    sum += __atomic_load_n(&caches[i].used[k], __ATOMIC_RELAXED);
  return sum > 0 ? (u64)sum : 0;
}

const char *kmem_name(enum kmem_kind k) {
  static const char *const names[KMEM_NKINDS] = {
      [KMEM_OTHER] = "Other:",   [KMEM_PROCESS] = "Process:", [KMEM_SIGNAL] = "Signal:",
      [KMEM_FILE] = "File:",     [KMEM_NAME] = "Name:",       [KMEM_SPACE] = "Space:",
      [KMEM_REGION] = "Region:", [KMEM_SOCKET] = "Socket:",   [KMEM_IMAGE] = "Image:",
  };
  return names[k];
}

u64 kmalloc_used(void) {
  u64 sum = 0;
  for (unsigned k = 0; k < KMEM_NKINDS; k++)
    sum += kmalloc_used_as((enum kmem_kind)k);
  return sum;
}

/* Objects of a class that are handed out; others may allocate and free meanwhile. */
static u64 objects_out(unsigned class) {
  struct size_class *sc = &classes[class];
  spin_lock(&sc->lock);
  i64 n = (i64)sc->taken;
  spin_unlock(&sc->lock);
  for (unsigned i = 0; i < MAX_CPUS; i++) {
    struct cpu_cache *c = &caches[i];
    spin_lock(&c->lock);
    n -= c->mags[class].count;
    spin_unlock(&c->lock);
  }
  return n > 0 ? (u64)n : 0;
}

bool kmalloc_class(unsigned i, unsigned *size, u64 *objects) {
  if (i >= NCLASSES)
    return false;
  *size = class_size[i];
  *objects = objects_out(i);
  return true;
}

u64 kmalloc_pages(void) {
  return __atomic_load_n(&slab_pages, __ATOMIC_RELAXED) +
         __atomic_load_n(&large_pages, __ATOMIC_RELAXED);
}
