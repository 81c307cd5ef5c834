/* SPDX-License-Identifier: MIT */
/* Watches of files: who is to learn of what, and the queues of events that wait to be read. */
#include "kernel/fs/inotify.h"
#include "kernel/mm/kmalloc.h"
#include "lib/string.h"

#define BUCKETS 256

struct watch {
  struct list hash_node, node;
  struct inotify *in;
  struct inode *inode; /* reference held */
  int wd;
  u32 mask; /* events and IN_ONESHOT, IN_EXCL_UNLINK */
};

u32 watch_count;
static struct spin watch_lock;
static struct list buckets[BUCKETS];
static u32 last_cookie; /* atomic */

static struct list *bucket_of(const struct inode *i) {
  struct list *b = &buckets[(i->ino ^ (u64)i->super >> 6) % BUCKETS];
  if (b->next == NULL)
    list_init(b);
  return b;
}

static bool same_file(const struct inode *a, const struct inode *b) {
  return a == b || (a->ino == b->ino && a->super == b->super);
}

/* ---- the queue ------------------------------------------------------------------------------ */

static struct inotify_event *event_new(int wd, u32 mask, u32 cookie, const char *name) {
  u32 n = name ? (u32)strlen(name) + 1 : 0, len = (u32)round_up(n, sizeof(struct inotify_header));
  struct inotify_event *e = kzalloc(sizeof *e + len);
  if (!e)
    return NULL;
  e->h = (struct inotify_header){.wd = wd, .mask = mask, .cookie = cookie, .len = len};
  if (n)
    memcpy(e->name, name, n);
  return e;
}

static bool repeats_last(struct inotify *in, const struct inotify_event *e) {
  if (list_empty(&in->events))
    return false;
  const struct inotify_event *last = list_entry(in->events.prev, struct inotify_event, node);
  return last->h.wd == e->h.wd && last->h.mask == e->h.mask && last->h.len == e->h.len &&
         memcmp(last->name, e->name, e->h.len) == 0;
}

/* Takes e over, which may be NULL: what cannot be told is told to be missing. */
static void enqueue(struct inotify *in, struct inotify_event *e) {
  bool wake = false;
  spin_lock(&in->lock);
  if (!e || in->n_events >= INOTIFY_EVENTS_MAX) {
    kfree(e);
    e = event_new(-1, IN_Q_OVERFLOW, 0, NULL);
  }
  if (e && !repeats_last(in, e)) {
    list_push_back(&in->events, &e->node);
    in->n_events++;
    in->bytes += sizeof e->h + e->h.len;
    wake = true;
    e = NULL;
  }
  spin_unlock(&in->lock);
  kfree(e);
  if (wake)
    waitq_wake(&in->wq, 0, POLLIN | POLLRDNORM, 0);
}

struct inotify_event *inotify_take(struct inotify *in, u64 room, u64 *bytes) {
  struct inotify_event *e = NULL;
  *bytes = 0;
  spin_lock(&in->lock);
  if (!list_empty(&in->events)) {
    e = list_first(&in->events, struct inotify_event, node);
    *bytes = sizeof e->h + e->h.len;
    if (*bytes <= room) {
      list_remove(&e->node);
      in->n_events--;
      in->bytes -= *bytes;
    } else {
      e = NULL;
    }
  }
  spin_unlock(&in->lock);
  return e;
}

/* ---- watches: watch_lock held ---------------------------------------------------------------- */

/* Tells that it is over and takes it out; the caller frees it after the lock is dropped. */
static void retire(struct watch *w, bool tell) {
  if (tell)
    enqueue(w->in, event_new(w->wd, IN_IGNORED, 0, NULL));
  list_remove(&w->hash_node);
  list_remove(&w->node);
  w->in->n_watches--;
  __atomic_sub_fetch(&watch_count, 1, __ATOMIC_RELAXED);
}

static void free_retired(struct list *gone) {
  struct list *n;
  while ((n = list_pop_front(gone)) != NULL) {
    struct watch *w = list_entry(n, struct watch, node);
    inode_put(w->inode);
    kfree(w);
  }
}

struct occasion {
  u32 mask, cookie;
  const char *name;
  bool unlinked; /* the name is the child's last known one, and gone */
  bool last;     /* the file is gone */
};

static void tell(struct inode *i, const struct occasion *o) {
  struct list gone = LIST_INIT(gone);
  struct watch *w, *tmp;
  spin_lock(&watch_lock);
  list_for_each_safe(w, tmp, bucket_of(i), hash_node) {
    if (!same_file(w->inode, i))
      continue;
    bool wanted = (o->mask & w->mask & IN_ALL_EVENTS) &&
                  !(o->name && o->unlinked && (w->mask & IN_EXCL_UNLINK));
    if (wanted)
      enqueue(w->in, event_new(w->wd, o->mask, o->cookie, o->name));
    if (o->last || (wanted && (w->mask & IN_ONESHOT))) {
      retire(w, true);
      list_push_back(&gone, &w->node);
    }
  }
  spin_unlock(&watch_lock);
  free_retired(&gone);
}

void watch_inode(struct inode *i, u32 mask, const char *name, u32 cookie) {
  tell(i, &(struct occasion){.mask = mask, .name = name, .cookie = cookie});
}

void watch_dentry(struct dentry *d, u32 mask) {
  struct occasion o = {.mask = mask | (S_ISDIR(d->inode->mode) ? IN_ISDIR : 0)};
  char name[NAME_MAX + 1];
  struct dentry *parent = NULL;
  spin_lock(&dcache_lock);
  if (d->parent != d) {
    parent = dentry_get(d->parent);
    str_copy(name, d->name, sizeof name);
    o.unlinked = d->deleted;
  }
  spin_unlock(&dcache_lock);
  if (parent) {
    o.name = name;
    tell(parent->inode, &o);
    dentry_put(parent);
    o.name = NULL;
  }
  tell(d->inode, &o);
}

void watch_renamed(struct dentry *from, const char *old_name, struct dentry *to,
                   const char *new_name, struct inode *moved, struct inode *replaced) {
  u32 dir = S_ISDIR(moved->mode) ? IN_ISDIR : 0;
  u32 cookie = __atomic_add_fetch(&last_cookie, 1, __ATOMIC_RELAXED);
  watch_inode(from->inode, IN_MOVED_FROM | dir, old_name, cookie);
  watch_inode(to->inode, IN_MOVED_TO | dir, new_name, cookie);
  if (replaced)
    watch_inode(replaced, IN_ATTRIB, NULL, 0);
  watch_inode(moved, IN_MOVE_SELF, NULL, 0);
}

static bool is_watched(struct inode *i) {
  struct watch *w;
  bool found = false;
  spin_lock(&watch_lock);
  list_for_each(w, bucket_of(i), hash_node) found |= same_file(w->inode, i);
  spin_unlock(&watch_lock);
  return found;
}

/* Some file systems count 1 for a directory always. */
void watch_gone(struct inode *i) {
  struct kstat st;
  if (!is_watched(i) || inode_getattr(i, &st) < 0 || st.nlink > (S_ISDIR(i->mode) ? 1 : 0))
    return;
  tell(i, &(struct occasion){.mask = IN_DELETE_SELF, .last = true});
}

/* ---- adding and removing --------------------------------------------------------------------- */

/* The instance's watch of the file; watch_lock held. */
static struct watch *find(struct inotify *in, const struct inode *i) {
  struct watch *w;
  list_for_each(w, bucket_of(i), hash_node) if (w->in == in && same_file(w->inode, i)) return w;
  return NULL;
}

static u32 kept_mask(u32 mask) { return mask & (IN_ALL_EVENTS | IN_ONESHOT | IN_EXCL_UNLINK); }

/* w is fresh and taken over if it is used. */
static i64 add_locked(struct inotify *in, struct inode *i, u32 mask, struct watch **w) {
  struct watch *there = find(in, i);
  if (there) {
    if (mask & IN_MASK_CREATE)
      return -EEXIST;
    there->mask = mask & IN_MASK_ADD ? there->mask | kept_mask(mask) : kept_mask(mask);
    return there->wd;
  }
  if (__atomic_load_n(&watch_count, __ATOMIC_RELAXED) >= INOTIFY_WATCHES_MAX)
    return -ENOSPC;
  **w = (struct watch){.in = in, .inode = inode_get(i), .mask = kept_mask(mask)};
  (*w)->wd = ++in->last_wd;
  list_push_back(bucket_of(i), &(*w)->hash_node);
  list_push_back(&in->watches, &(*w)->node);
  in->n_watches++;
  __atomic_add_fetch(&watch_count, 1, __ATOMIC_RELAXED);
  i64 wd = (*w)->wd;
  *w = NULL;
  return wd;
}

i64 inotify_watch(struct inotify *in, struct inode *i, u32 mask) {
  struct watch *w = kmalloc(sizeof *w);
  if (!w)
    return -ENOMEM;
  spin_lock(&watch_lock);
  i64 wd = add_locked(in, i, mask, &w);
  spin_unlock(&watch_lock);
  kfree(w);
  return wd;
}

int inotify_unwatch(struct inotify *in, int wd) {
  struct list gone = LIST_INIT(gone);
  struct watch *w;
  int err = -EINVAL;
  spin_lock(&watch_lock);
  list_for_each(w, &in->watches, node) {
    if (w->wd != wd)
      continue;
    retire(w, true);
    list_push_back(&gone, &w->node);
    err = 0;
    break;
  }
  spin_unlock(&watch_lock);
  free_retired(&gone);
  return err;
}

void inotify_init_queue(struct inotify *in) {
  waitq_init(&in->wq);
  list_init(&in->events);
  list_init(&in->watches);
}

void inotify_empty(struct inotify *in) {
  struct list gone = LIST_INIT(gone);
  struct list *n;
  spin_lock(&watch_lock);
  while (!list_empty(&in->watches)) {
    struct watch *w = list_first(&in->watches, struct watch, node);
    retire(w, false);
    list_push_back(&gone, &w->node);
  }
  spin_unlock(&watch_lock);
  free_retired(&gone);
  while ((n = list_pop_front(&in->events)) != NULL)
    kfree(list_entry(n, struct inotify_event, node));
}
