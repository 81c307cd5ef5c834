/* SPDX-License-Identifier: MIT */
/*
 * Images by the identity of their files. An image is entered before it is loaded, with its `load`
 * mutex held, so that whoever else executes the same file waits for the one load. Images without
 * users stay, up to a limit; the least recently used one goes first.
 */
#include "kernel/errno.h"
#include "kernel/mm/image_internal.h"
#include "kernel/mm/kmalloc.h"
#include "lib/string.h"

#define UNUSED_MAX MIB(64) /* bytes of images without users */

static struct spin cache_lock;
static struct list cache = LIST_INIT(cache);
static u64 clock, next_id;

static bool same_key(const struct file_identity *a, const struct file_identity *b) {
  return a->fs == b->fs && a->ino == b->ino && a->size == b->size && a->mtime_ns == b->mtime_ns &&
         a->version == b->version;
}

static struct image *image_new(const struct file_identity *key, const char *path) {
  struct image *im = kzalloc_as(KMEM_IMAGE, sizeof *im);
  if (im == NULL)
    return NULL;
  im->path = kstrdup(path);
  if (im->path == NULL) {
    kfree_as(KMEM_IMAGE, im);
    return NULL;
  }
  im->refs = 1;
  im->key = *key;
  im->state = IMAGE_LOADING;
  mutex_init(&im->load);
  return im;
}

/* ---- under cache_lock -------------------------------------------------------------------- */

static struct image *lookup(const struct file_identity *key) {
  struct image *im;
  list_for_each(im, &cache, node) if (same_key(&im->key, key)) {
    image_get(im);
    im->last_use = ++clock;
    return im;
  }
  return NULL;
}

static bool unused(const struct image *im) {
  return __atomic_load_n(&im->refs, __ATOMIC_ACQUIRE) == 0;
}

/* The unused image that was used last the longest time ago; *total: bytes of all unused ones. */
static struct image *oldest_unused(u64 *total) {
  struct image *im, *best = NULL;
  *total = 0;
  list_for_each(im, &cache, node) {
    if (!unused(im))
      continue;
    *total += image_bytes(im);
    if (best == NULL || im->last_use < best->last_use)
      best = im;
  }
  return best;
}

/* ---- eviction ---------------------------------------------------------------------------- */

/* Unlinks one unused image, if all of them are more than `keep` bytes. */
static struct image *evict(u64 keep) {
  u64 total;
  spin_lock(&cache_lock);
  struct image *im = oldest_unused(&total);
  if (im != NULL && total > keep)
    list_remove(&im->node);
  else
    im = NULL;
  spin_unlock(&cache_lock);
  return im;
}

static void trim(void) {
  struct image *im;
  while ((im = evict(UNUSED_MAX)) != NULL)
    image_free(im);
}

bool image_cache_shrink(u64 bytes) {
  u64 freed = 0;
  struct image *im;
  while (freed < bytes && (im = evict(0)) != NULL) {
    freed += image_bytes(im);
    image_free(im);
  }
  return freed > 0;
}

/* ---- loading ----------------------------------------------------------------------------- */

/* `im` is in the cache, its mutex held by us: loads it and lets the waiters go on. */
static int load(struct image *im, struct file *f) {
  int err = image_read(im, f);
  if (err == -ENOMEM && im->text.size == 0 && image_cache_shrink(UINT64_MAX)) {
    kfree_as(KMEM_IMAGE, im->safe);
    im->safe = NULL;
    err = image_read(im, f);
  }
  spin_lock(&cache_lock);
  im->error = err;
  im->state = err ? IMAGE_FAILED : IMAGE_READY;
  if (err)
    list_remove(&im->node);
  spin_unlock(&cache_lock);
  mutex_unlock(&im->load);
  if (err)
    image_put(im);
  return err;
}

/* Somebody else has entered it: waits until it is loaded. */
static int wait_loaded(struct image *im) {
  if (__atomic_load_n(&im->state, __ATOMIC_ACQUIRE) == IMAGE_READY)
    return 0;
  mutex_lock(&im->load);
  mutex_unlock(&im->load);
  int err = im->error;
  if (err)
    image_put(im);
  return err;
}

int image_load(struct file *f, const char *path, struct image **out) {
  struct file_identity key;
  int err = file_identity(f, &key);
  if (err)
    return err;
  spin_lock(&cache_lock);
  struct image *im = lookup(&key);
  spin_unlock(&cache_lock);
  if (im != NULL) {
    *out = im;
    return wait_loaded(im);
  }

  struct image *fresh = image_new(&key, path);
  if (fresh == NULL)
    return -ENOMEM;
  mutex_lock(&fresh->load);
  spin_lock(&cache_lock);
  im = lookup(&key); /* entered meanwhile? */
  if (im == NULL) {
    fresh->id = ++next_id;
    fresh->last_use = ++clock;
    list_push_back(&cache, &fresh->node);
  }
  spin_unlock(&cache_lock);
  if (im != NULL) {
    mutex_unlock(&fresh->load);
    image_free(fresh);
    *out = im;
    return wait_loaded(im);
  }
  *out = fresh;
  err = load(fresh, f);
  if (err == 0)
    trim();
  return err;
}

struct image *image_at(u64 addr) {
  struct image *im, *found = NULL;
  spin_lock(&cache_lock);
  list_for_each(im, &cache, node) {
    if (im->state == IMAGE_READY && addr >= im->text.vaddr &&
        addr - im->text.vaddr < im->text.size) {
      image_get(im);
      found = im;
      break;
    }
  }
  spin_unlock(&cache_lock);
  return found;
}
