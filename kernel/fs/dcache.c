/* SPDX-License-Identifier: MIT */
/*
 * Dentries: one per name that is in use. A hash finds the live ones, so that everybody who walks
 * to a name gets the same object: mount points and renames act on it. A dentry leaves the hash
 * when its name is removed, replaced or renamed, and when its last user goes.
 *
 * Where names change behind our back (host directories) the last KEPT_MAX names that were used are
 * kept, for a second or two: to ask whether a name still leads to the same object is much
 * cheaper than to look it up.
 */
#include "kernel/fs/vfs.h"
#include "kernel/kassert.h"
#include "kernel/mm/kmalloc.h"
#include "kernel/time/timer.h"
#include "lib/string.h"

#define BUCKETS 1024
#define KEPT_MAX 64
#define KEPT_ROUND_NS 1000000000

struct spin dcache_lock; /* the hash; every dentry's name and parent */
struct mutex vfs_rename_lock = {.q = WAITQ_INIT(vfs_rename_lock.q)};
static struct dentry *buckets[BUCKETS];

/* Names kept, the one used last first; each entry holds a reference. dcache_lock */
static struct list recent = LIST_INIT(recent);
static u32 nrecent, recent_round;

static u32 hash_name(const struct dentry *dir, const char *name, u32 len) {
  u32 h = (u32)((u64)dir >> 6) * 0x9e3779b1u;
  for (u32 k = 0; k < len; k++)
    h = (h ^ (u8)name[k]) * 0x01000193u;
  return h;
}

static void hash_insert(struct dentry *d) {
  struct dentry **head = &buckets[d->hash % BUCKETS];
  d->hash_next = *head;
  d->hash_link = head;
  if (d->hash_next)
    d->hash_next->hash_link = &d->hash_next;
  *head = d;
}

static void hash_remove(struct dentry *d) {
  if (!d->hash_link)
    return;
  *d->hash_link = d->hash_next;
  if (d->hash_next)
    d->hash_next->hash_link = d->hash_link;
  d->hash_link = NULL;
  d->hash_next = NULL;
}

static bool set_name(struct dentry *d, const char *name, u32 len) {
  char *to = d->inline_name;
  if (len >= sizeof d->inline_name) {
    to = kmalloc_as(KMEM_NAME, len + 1);
    if (!to)
      return false;
  }
  memcpy(to, name, len);
  to[len] = 0;
  d->name = to;
  d->len = len;
  return true;
}

static void free_name(char *name, const struct dentry *d) {
  if (name != d->inline_name)
    kfree_as(KMEM_NAME, name);
}

/* Takes over the inode reference on success. */
static struct dentry *dentry_alloc(const char *name, struct inode *i) {
  struct dentry *d = kmalloc_as(KMEM_NAME, sizeof *d);
  if (!d)
    return NULL;
  memset(d, 0, offsetof(struct dentry, inline_name));
  if (!set_name(d, name, (u32)strlen(name))) {
    kfree_as(KMEM_NAME, d);
    return NULL;
  }
  list_init(&d->recent);
  d->refs = 1;
  d->inode = i;
  return d;
}

struct dentry *dentry_new_root(struct inode *i, const char *name) {
  struct dentry *d = dentry_alloc(name, i);
  if (d)
    d->parent = d;
  return d;
}

struct dentry *dentry_get(struct dentry *d) {
  __atomic_fetch_add(&d->refs, 1, __ATOMIC_RELAXED);
  return d;
}

static bool put_unless_last(struct dentry *d) {
  u32 n = __atomic_load_n(&d->refs, __ATOMIC_RELAXED);
  while (n > 1)
    if (__atomic_compare_exchange_n(&d->refs, &n, n - 1, true, __ATOMIC_RELEASE, __ATOMIC_RELAXED))
      return true;
  return false;
}

/* The count reaches zero under the lock only, so that dentry_find never revives a dead one. */
static bool put_last(struct dentry *d) {
  bool last;
  spin_lock(&dcache_lock);
  last = __atomic_sub_fetch(&d->refs, 1, __ATOMIC_ACQ_REL) == 0;
  if (last)
    hash_remove(d);
  spin_unlock(&dcache_lock);
  return last;
}

void dentry_put(struct dentry *d) {
  while (d && !put_unless_last(d) && put_last(d)) {
    struct dentry *parent = d->parent == d ? NULL : d->parent;
    inode_put(d->inode);
    free_name(d->name, d);
    kfree_as(KMEM_NAME, d);
    d = parent;
  }
}

struct dentry *dentry_find(struct dentry *dir, const char *name) {
  u32 len = (u32)strlen(name), h = hash_name(dir, name, len);
  struct dentry *d;
  spin_lock(&dcache_lock);
  for (d = buckets[h % BUCKETS]; d; d = d->hash_next)
    if (d->hash == h && d->parent == dir && d->len == len && memcmp(d->name, name, len) == 0)
      break;
  if (d)
    dentry_get(d);
  spin_unlock(&dcache_lock);
  return d;
}

/* ---- names that are kept ----------------------------------------------------------------- */

/* Takes the entry that was used longest ago off the list. dcache_lock held. */
static struct dentry *forget_oldest(void) {
  struct dentry *d = list_entry(recent.prev, struct dentry, recent);
  list_remove(&d->recent);
  nrecent--;
  return d;
}

static struct dentry *forget_one_of_last_round(void) {
  struct dentry *d = NULL;
  spin_lock(&dcache_lock);
  if (nrecent && list_entry(recent.prev, struct dentry, recent)->recent_round != recent_round)
    d = forget_oldest();
  spin_unlock(&dcache_lock);
  return d;
}

static void end_round(struct ktimer *t) {
  struct dentry *d;
  while ((d = forget_one_of_last_round()))
    dentry_put(d);
  spin_lock(&dcache_lock);
  recent_round++;
  bool more = nrecent > 0;
  spin_unlock(&dcache_lock);
  if (more)
    ktimer_arm(t, plat_now() + KEPT_ROUND_NS);
}

static struct ktimer round_timer = {.fire = end_round};

/* d has just been found to be what its name leads to; false if the name was removed meanwhile. */
static bool keep(struct dentry *d) {
  struct dentry *forgotten = NULL;
  bool first = false, there;
  spin_lock(&dcache_lock);
  there = d->hash_link;
  if (!list_empty(&d->recent)) {
    list_remove(&d->recent);
    list_push_front(&recent, &d->recent);
  } else if (there) {
    list_push_front(&recent, &dentry_get(d)->recent);
    first = ++nrecent == 1;
    if (nrecent > KEPT_MAX)
      forgotten = forget_oldest();
  }
  d->recent_round = recent_round;
  spin_unlock(&dcache_lock);
  dentry_put(forgotten);
  if (first)
    ktimer_arm(&round_timer, plat_now() + KEPT_ROUND_NS);
  return there;
}

struct dentry *dentry_current(struct dentry *dir, const char *name) {
  bool volatile_names = dir->inode->super->volatile_names;
  struct dentry *d;
  if (volatile_names && !dir->inode->ops->revalidate)
    return NULL;
  d = dentry_find(dir, name);
  if (!d || !volatile_names || d->mounted)
    return d;
  if (dir->inode->ops->revalidate(dir->inode, name, d->inode) == 0 && keep(d))
    return d;
  dentry_put(d);
  return NULL;
}

/* ---- looking up -------------------------------------------------------------------------- */

/* Takes over the inode reference on success. The directory's lock keeps the name unique. */
static struct dentry *dentry_add(struct dentry *dir, const char *name, struct inode *i) {
  struct dentry *d = dentry_alloc(name, i);
  if (!d)
    return NULL;
  d->parent = dentry_get(dir);
  d->mnt = dir->mnt;
  d->hash = hash_name(dir, name, d->len);
  spin_lock(&dcache_lock);
  hash_insert(d);
  spin_unlock(&dcache_lock);
  return d;
}

/* Does the name still lead to what d remembers? Mount points stay whatever happens below. */
static bool still_same(const struct dentry *d, const struct inode *now) {
  return d->mounted || (d->inode->ino == now->ino && d->inode->super == now->super &&
                        ((d->inode->mode ^ now->mode) & S_IFMT) == 0);
}

static int lookup_child(struct dentry *dir, const char *name, struct dentry *known,
                        struct dentry **out) {
  struct inode *i;
  int e = dir->inode->ops->lookup ? dir->inode->ops->lookup(dir->inode, name, &i) : -ENOTDIR;
  if (e < 0) {
    if (e == -ENOENT && known)
      dentry_delete(known);
    return e;
  }
  if (known && still_same(known, i)) {
    known->inode->mode = i->mode;
    known->inode->uid = i->uid;
    known->inode->gid = i->gid;
    inode_put(i);
    *out = dentry_get(known);
    return 0;
  }
  if (known)
    dentry_delete(known);
  *out = dentry_add(dir, name, i);
  if (*out)
    return 0;
  inode_put(i);
  return -ENOMEM;
}

int dentry_child(struct dentry *dir, const char *name, struct dentry **out) {
  struct dentry *d = dentry_find(dir, name);
  int e;
  if (d && !dir->inode->super->volatile_names) {
    *out = d;
    return 0;
  }
  e = lookup_child(dir, name, d, out);
  dentry_put(d);
  if (e == 0 && dir->inode->ops->revalidate)
    keep(*out);
  return e;
}

void dentry_delete(struct dentry *d) {
  bool kept;
  spin_lock(&dcache_lock);
  hash_remove(d);
  d->deleted = true;
  kept = !list_empty(&d->recent);
  if (kept) {
    list_remove(&d->recent);
    nrecent--;
  }
  spin_unlock(&dcache_lock);
  if (kept)
    dentry_put(d);
}

int dentry_move(struct dentry *d, struct dentry *dir, const char *name) {
  u32 len = (u32)strlen(name);
  char *longer = NULL, *old_name;
  struct dentry *old_parent;
  if (len >= sizeof d->inline_name && !(longer = kmalloc_as(KMEM_NAME, len + 1)))
    return -ENOMEM;
  dentry_get(dir);
  spin_lock(&dcache_lock);
  hash_remove(d);
  old_name = d->name;
  d->name = longer ? longer : d->inline_name;
  memcpy(d->name, name, len + 1);
  d->len = len;
  old_parent = d->parent;
  d->parent = dir;
  d->hash = hash_name(dir, name, len);
  hash_insert(d);
  spin_unlock(&dcache_lock);
  free_name(old_name, d);
  dentry_put(old_parent);
  return 0;
}

struct dentry *dentry_parent(struct dentry *d) {
  struct dentry *p;
  spin_lock(&dcache_lock);
  p = dentry_get(d->parent);
  spin_unlock(&dcache_lock);
  return p;
}

bool dentry_is_below(struct dentry *d, struct dentry *top) {
  while (d != top && d->parent != d)
    d = d->parent;
  return d == top;
}
